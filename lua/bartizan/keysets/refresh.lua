--- Fetches key sets, in timers: one worker at a time, and never twice as often for two workers.
--
-- A set is taken only if it is sound as a whole; then it goes to shared memory, and to disk.
-- Whatever else happens, the issuer being away or answering nonsense, the keys that are there
-- serve on; it is logged, counted and shown in the issuer's status.

local clock = require("bartizan.clock")
local crypto = require("bartizan.jose.crypto")
local disk = require("bartizan.keysets.disk")
local fetch = require("bartizan.keysets.fetch")
local ffi = require("ffi")
local keyset = require("bartizan.jose.keyset")
local metrics = require("bartizan.metrics")
local schedule = require("bartizan.keysets.schedule")

local C = ffi.C
local error = error
local format = string.format
local now = clock.now
local pcall = pcall
local random = crypto.random
local tostring = tostring

local ngx = ngx
local exiting = ngx.worker.exiting
local log = ngx.log
local ngx_time = ngx.time
local timer_at = ngx.timer.at
local timer_every = ngx.timer.every
local ERR, NOTICE = ngx.ERR, ngx.NOTICE

-- Of nginx's core (src/os/unix/ngx_process_cycle.h); sig_atomic_t is an int.
ffi.cdef([[
extern int ngx_quit;
extern int ngx_terminate;
]])

local _M = {}

local SECOND = 1000000

-- Seconds between looks at the shared memory.
local TICK = 1

local function remember(issuer, set)
    local saved, err = disk.save(issuer.remember_file, {
        issuer = issuer.iss, jwks = issuer.jwks, fetched = ngx_time(), set = set,
    })
    if not saved then
        metrics.event("key_set_not_remembered")
        log(ERR, "issuer ", issuer.name, ": the key set is not remembered on disk: ", err)
    end
end

local function take(issuer, set)
    if issuer.current and set == issuer.state:get("set") then
        return true
    end
    local keys, err = keyset.parse(set, issuer.algorithms)
    if not keys then
        metrics.event("key_set_refused")
        return nil, "the set is refused as a whole: " .. err
    end
    issuer:install(keys, issuer.state:publish(set))
    log(NOTICE, "issuer ", issuer.name, ": new key set of generation ", issuer.generation,
        ", keys: ", issuer.count)
    return true
end

-- Returns true and for how many seconds the answer is fresh, or nil and what went wrong.
local function try(issuer)
    -- Without keys there is nothing that "not modified" could mean.
    local etag = issuer.current and issuer.state:get("etag") or nil
    local response, err = fetch.get(issuer.socket, issuer.fetch_path, etag)
    if not response then
        return nil, err
    elseif response.status == 304 and etag then
        return true, response.fresh
    elseif response.status ~= 200 then
        return nil, format("its address answered %d", response.status)
    end
    local taken
    taken, err = take(issuer, response.body)
    if not taken then
        return nil, err
    end
    issuer.state:note("etag", response.etag)
    remember(issuer, response.body)
    return true, response.fresh
end

local function refresh(issuer)
    local state = issuer.state
    local called, done, detail = pcall(try, issuer)
    if called and done then
        state:put("due", now() + schedule.after_success(detail, random()) * SECOND)
        state:put("failures", 0)
        state:note("confirmed", now())
        state:note("error", nil)
        return
    end
    local err = tostring(called and detail or done)
    local failures = (state:get("failures") or 0) + 1
    local delay = schedule.after_failure(failures, random())
    state:put("due", now() + delay * SECOND)
    state:put("failures", failures)
    state:note("error", err)
    metrics.event("key_set_fetch_failed")
    log(ERR, "issuer ", issuer.name, ": no new key set (failure ", failures, ", next try in ",
        format("%.1f", delay), " s), ",
        issuer.keys and "the one before it serves on: " or "and there is none before it: ", err)
end

local function is_due(issuer)
    return now() >= (issuer.state:get("due") or 0)
end

-- A master that quits signals its workers and then removes the Unix socket. The signal is noted at
-- once, but ngx.worker.exiting() is true only after the event loop came round: too late to keep a
-- fetch from a socket that is gone.
local function is_stopping()
    return C.ngx_quit ~= 0 or C.ngx_terminate ~= 0 or exiting()
end

local function tick(premature, issuer)
    if premature then
        return
    end
    issuer:pick_up()
    if is_due(issuer) and not is_stopping() and issuer.state:take_turn() then
        -- Another worker may have fetched between the question and the turn.
        local ok, err = true, nil
        if is_due(issuer) then
            ok, err = pcall(refresh, issuer)
        end
        issuer.state:end_turn()
        if not ok then
            error("issuer " .. issuer.name .. ": " .. tostring(err), 0)
        end
    end
end

--- Fetches in this worker from now on, when it is due and no other worker does.
-- Raises where nginx has no timer left.
function _M.start(issuer)
    local ok, err = timer_at(0, tick, issuer)
    if ok then
        ok, err = timer_every(TICK, tick, issuer)
    end
    if not ok then
        error("could not start the timer that fetches key sets: " .. err)
    end
end

return _M
