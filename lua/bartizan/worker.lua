--- What each worker process does beside requests: dies with its master, reports that it serves,
--- and hands on its counts.

local clock = require("bartizan.clock")
local ffi = require("ffi")
local metrics = require("bartizan.metrics")

local C = ffi.C
local collectgarbage = collectgarbage
local error = error
local find = string.find
local floor = math.floor
local ipairs = ipairs
local min = math.min
local now = clock.now

local ngx = ngx
local ngx_log = ngx.log
local ERR = ngx.ERR
local timer_every = ngx.timer.every
local worker_count = ngx.worker.count
local worker_id = ngx.worker.id
local worker_pid = ngx.worker.pid

local _M = {}

ffi.cdef [[
    int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
    int getppid(void);
    int kill(int pid, int signal);
]]

-- <sys/prctl.h>, <signal.h> of Linux.
local PR_SET_PDEATHSIG = 1
local SIGTERM = 15

-- Seconds between reports, and microseconds for which one counts. A report is the monotonic time of
-- its making: a lifetime of the dict's own would follow the wall clock, which someone may set. The
-- dict is for reports alone, so that no count can take their place.
local PERIOD = 1
local LIFETIME = 10000000

local master, generation, dict
local reported                  -- when this worker last did

--- Notes what the workers will need. Runs in the master.
function _M.init(settings, shared)
    master = worker_pid()
    generation = settings.generation
    dict = shared.workers
end

-- After kill -9 of the master its workers would keep the ports (and the next start would fail), so
-- the kernel is asked to end them with it. The request is lost at a change of user, which lies
-- behind a worker when it comes here.
local function die_with_master()
    if C.prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) ~= 0 then
        error("prctl(PR_SET_PDEATHSIG) failed: errno " .. ffi.errno())
    end
    -- The master may have died before the request was made: then another process is the parent.
    if C.getppid() ~= master then
        C.kill(worker_pid(), SIGTERM)
    end
end

local function key(id)
    return generation .. "|" .. id
end

-- What killed workers of earlier generations left. Their living ones will report again.
local function forget_old_reports()
    for _, name in ipairs(dict:get_keys(0)) do
        if not find(name, key(""), 1, true) then
            dict:delete(name)
        end
    end
end

-- A cycle of the collector costs as much whether it finds much or little, and a request leaves some
-- 300 bytes behind: by LuaJIT's own measure, which is to wait until memory has doubled, collecting
-- was a twentieth of all that a request costs. So it waits for so much garbage, whatever is alive;
-- of that the least that was seen of late tells.
local GARBAGE = 8192            -- KiB
local alive

local function collect_seldom()
    local count = collectgarbage("count")
    alive = min(count, (alive or count) * 1.1)
    collectgarbage("setpause", 100 + floor(100 * GARBAGE / alive))
end

local function report()
    collect_seldom()
    reported = now()
    local ok, err = dict:set(key(worker_id()), reported)
    if not ok then
        ngx_log(ERR, "could not report that this worker serves: ", err)
    end
    metrics.flush()
end

--- Starts the chores of a worker.
function _M.start()
    collectgarbage()
    die_with_master()
    if worker_id() == 0 then
        metrics.forget_old_routes()
        forget_old_reports()
    end
    report()
    local timer, err = timer_every(PERIOD, function(premature)
        if not premature then
            report()
        end
    end)
    if not timer then
        error("could not start the worker's timer: " .. err)
    end
end

--- Ends the chores of a worker that was told to quit.
function _M.stop()
    metrics.flush()
    -- Unless another worker has this id by now.
    if dict:get(key(worker_id())) == reported then
        dict:delete(key(worker_id()))
    end
end

--- How many workers of this generation serve, and how many there should be.
function _M.serving()
    local serving, count = 0, worker_count()
    local time = now()
    for id = 0, count - 1 do
        if time - (dict:get(key(id)) or -LIFETIME) < LIFETIME then
            serving = serving + 1
        end
    end
    return serving, count
end

return _M
