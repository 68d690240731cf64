-- The limiting guards in one worker, without nginx: a clock that a test sets, a store in a table,
-- and requests as coroutines that stop where the guard would sleep or wait.

local world = { now = 0, posted = 0, held = 0, waiting = 0, sleeps = {}, early = 0 }

local rows, values = {}, {}

local store = {}
store.__index = store

function store.begin() end
function store.finish() end
function store.start() end

function store:now()
    return world.now
end

function store:find(key)
    return rows[key]
end

local function make(_, key)
    if world.full then
        return nil
    end
    values[#values + 1] = 0
    rows[key] = #values
    return #values
end

store.new_bucket = make
store.new_slots = make

function store:instant(row)
    return values[row]
end

function store:set_instant(row, value)
    values[row] = value
end

function store:places()
    return 1
end

function store:alive()
    return true
end

function store:column(row)
    return values[row]
end

function store:change(row, number)
    values[row] = values[row] + number
end

function store:holds(held, waiting)
    world.held = world.held + held
    world.waiting = world.waiting + waiting
end

package.loaded["bartizan.limits.store"] = {
    open = function()
        return setmetatable({}, store)
    end,
}
package.loaded["bartizan.clock"] = {
    now = function()
        return world.now
    end,
}
package.loaded["ngx.semaphore"] = {
    new = function()
        return {
            wait = function(_, seconds)
                return coroutine.yield(seconds)
            end,
            post = function()
                world.posted = world.posted + 1
            end,
        }
    end,
}
ngx = {
    sha1_bin = function(text)
        return "sha1 of " .. #text
    end,
    sleep = function(seconds)
        table.insert(world.sleeps, seconds)
        world.now = world.now + seconds * 1000000 - world.early
        world.early = 0
    end,
}

--- A request.
function world.request(headers, client)
    return {
        route = { key = "1f2e3d4c" },
        address_key = "192.0.2.1",
        headers = headers or {},
        client = client,
    }
end

--- Make a guard; raises what it raises.
function world.new(name, settings)
    return require("bartizan.guards." .. name).new(settings, {})
end

--- What `new` says of bad settings.
function world.complaint(name, settings)
    local ok, err = pcall(world.new, name, settings)
    return not ok and err or nil
end

--- Begin the check of a request. @return what `go_on` takes (lupa passes no bare coroutine back)
function world.begin(name, guard, request, observing)
    local module = require("bartizan.guards." .. name)
    return {
        thread = coroutine.create(function()
            return module.check(guard, request, observing)
        end),
    }
end

--- Let a check go on.
-- @return "waits" and how many seconds, or "passed", or the code and Retry-After
function world.go_on(begun, ...)
    local ok, result = coroutine.resume(begun.thread, ...)
    assert(ok, result)
    if coroutine.status(begun.thread) == "suspended" then
        return "waits", result
    elseif result then
        return result.code, result.headers["Retry-After"], result.reason
    end
    return "passed"
end

function world.release(name, guard, request)
    require("bartizan.guards." .. name).release(guard, request)
end

function world.key(guard, request)
    return guard.subject:key(request)
end

return world
