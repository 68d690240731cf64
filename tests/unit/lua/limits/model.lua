-- A gateway in miniature: workers that share the limits' store, stepped one store call at a time.
--
-- Each worker is a coroutine that runs one job after another and stops before every call on the
-- store, so that a test decides who goes next, and who is killed where. The store is that of
-- lua/bartizan/limits/store.lua in what it offers; the lock is given to the next when its owner
-- dies, as the kernel does. `unlocked` leaves the lock out: with it the tests must fail.

local bucket = require "bartizan.limits.bucket"
local slots = require "bartizan.limits.slots"
local sweep = require "bartizan.limits.sweep"

local create = coroutine.create
local resume = coroutine.resume
local status = coroutine.status
local yield = coroutine.yield

local Store = {}
Store.__index = Store

function Store:begin()
    yield()
    while not self.world.unlocked and self.world.owner do
        yield()
    end
    self.world.owner = self.place
end

function Store:finish()
    yield()
    self.world.owner = nil
end

function Store:now()
    yield()
    return self.world.now
end

function Store:find(key)
    yield()
    local world = self.world
    for i = 1, #world.order do
        if world.order[i] == key then
            table.remove(world.order, i)
            table.insert(world.order, key)
        end
    end
    return world.rows[key]
end

local function make(store, key, value)
    yield()
    local world = store.world
    if #world.order >= world.capacity then
        return nil
    end
    world.last_row = world.last_row + 1
    world.values[world.last_row] = value
    world.rows[key] = world.last_row
    table.insert(world.order, key)
    return world.last_row
end

function Store:new_bucket(key)
    return make(self, key, 0)
end

function Store:new_slots(key)
    return make(self, key, {})
end

local function drop(store, key, row)
    yield()
    local world = store.world
    assert(world.rows[key] == row, "an entry is dropped that is not there")
    world.rows[key] = nil
    world.values[row] = nil
    for i = 1, #world.order do
        if world.order[i] == key then
            table.remove(world.order, i)
            return
        end
    end
end

Store.drop_bucket = drop
Store.drop_slots = drop

function Store:instant(row)
    yield()
    return self.world.values[row]
end

function Store:set_instant(row, value)
    yield()
    self.world.values[row] = value
end

function Store:places()
    yield()
    return self.world.places
end

function Store:alive(place)
    yield()
    return self.world.workers[place] ~= nil
end

function Store:column(row, place)
    yield()
    return self.world.values[row][place] or 0
end

function Store:clear_column(row, place)
    yield()
    self.world.values[row][place] = 0
end

-- One machine's add on memory that only this worker writes: nothing comes in between.
function Store:change(row, number)
    yield()
    local columns = self.world.values[row]
    columns[self.place] = (columns[self.place] or 0) + number
end

function Store:oldest(count)
    yield()
    local oldest = {}
    for i = 1, math.min(count, #self.world.order) do
        oldest[i] = self.world.order[i]
    end
    return oldest
end

local World = {}
World.__index = World

local jobs = {}

function jobs.take(world, worker, job)
    local stamp, ahead, used, lacking = bucket.take(worker.store, job.key, job.interval, job.depth)
    table.insert(world.log, {
        "take", worker.place, stamp, ahead or false, used, lacking or false,
    })
end

function jobs.enter(world, worker, job)
    local row, why = slots.enter(worker.store, job.key, job.limit)
    if row then
        worker.held[job.key] = worker.held[job.key] or {}
        table.insert(worker.held[job.key], row)
    end
    table.insert(world.log, { "enter", worker.place, world.now, row and true or false, why })
end

function jobs.leave(world, worker, job)
    local held = worker.held[job.key]
    if held and #held > 0 then
        slots.leave(worker.store, table.remove(held))
        table.insert(world.log, { "leave", worker.place, world.now })
    end
end

function jobs.sweep(world, worker, job)
    local taken = sweep.sweep(worker.store, world.now, job.count)
    table.insert(world.log, { "sweep", worker.place, world.now, taken })
end

function jobs.wait(world, _, job)
    world.now = world.now + job.time
end

local function run(world, worker, list)
    for i = 1, #list do
        jobs[list[i].job](world, worker, list[i])
    end
end

local function start(world, place, list)
    local worker = {
        place = place,
        held = {},
        store = setmetatable({ world = world, place = place }, Store),
    }
    worker.thread = create(function()
        run(world, worker, list)
    end)
    world.workers[place] = worker
end

local _M = {}

--- A world whose workers have the given lists of jobs.
function _M.new(lists, capacity, unlocked)
    local world = setmetatable({
        now = 1000,
        rows = {},
        values = {},
        order = {},
        last_row = 0,
        capacity = capacity,
        unlocked = unlocked,
        places = #lists,
        workers = {},
        log = {},
    }, World)
    for i = 1, #lists do
        start(world, i - 1, lists[i])
    end
    return world
end

--- Let a worker make one step.
-- @return whether it has more to do
function World:step(place)
    local worker = self.workers[place]
    if not worker or status(worker.thread) == "dead" then
        return false
    end
    local ok, err = resume(worker.thread)
    if not ok then
        error(err)
    end
    return status(worker.thread) ~= "dead"
end

--- Kill a worker where it is.
function World:kill(place)
    self.workers[place] = nil
    if self.owner == place then
        self.owner = nil
    end
end

--- Start a worker in the place of a dead one: region.lua clears its column.
function World:restart(place, list)
    for _, columns in pairs(self.values) do
        if type(columns) == "table" then
            columns[place] = 0
        end
    end
    start(self, place, list)
end

--- How many of a key the living workers hold, by what they were told.
function World:inside(key)
    local total = 0
    for _, worker in pairs(self.workers) do
        total = total + #(worker.held[key] or {})
    end
    return total
end

--- Run a schedule: "n" steps worker n, "-n" kills it, { wait = microseconds } lets time pass. After
-- it the living run on, one after the other, until they are done.
-- @return the most that were inside `key` at any time
function World:play(schedule, key)
    local most = 0
    local function note()
        most = math.max(most, self:inside(key))
    end
    for i = 1, #schedule do
        local what = schedule[i]
        if type(what) == "table" then
            self.now = self.now + what.wait
        elseif what < 0 then
            self:kill(-what - 1)
        else
            self:step(what)
        end
        note()
    end
    local more = true
    while more do
        more = false
        for place = 0, self.places - 1 do
            more = self:step(place) or more
            note()
        end
    end
    return most
end

-- How many jobs were let through or let in.
local function granted(world)
    local count = 0
    for i = 1, #world.log do
        count = count + (world.log[i][4] and 1 or 0)
    end
    return count
end

--- Play every order in which two workers can make so many steps each, and then run to their end.
-- @return how many orders there were; the least and the most that was granted in one; the most that
--     were inside `key` at any time in one
function _M.every(lists, steps, key, unlocked)
    local orders, least, most, inside = 0, math.huge, 0, 0
    local schedule = {}
    local function go(first, second)
        if first == steps and second == steps then
            local world = _M.new(lists, 100, unlocked)
            inside = math.max(inside, world:play(schedule, key))
            least, most = math.min(least, granted(world)), math.max(most, granted(world))
            orders = orders + 1
            return
        end
        local i = first + second + 1
        if first < steps then
            schedule[i] = 0
            go(first + 1, second)
        end
        if second < steps then
            schedule[i] = 1
            go(first, second + 1)
        end
    end
    go(0, 0)
    return orders, least, most, inside
end

return _M
