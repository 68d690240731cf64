--- What nginx.conf calls, as the global variable `bartizan`: one function a phase. To require it
--- there would be a call into C in each phase of each request.

local access = require("bartizan.access")
local answered = require("bartizan.answered")
local audit = require("bartizan.audit")
local cors = require("bartizan.cors")
local forward = require("bartizan.forward")
local intake = require("bartizan.intake")
local line = require("bartizan.line")
local log = require("bartizan.log")
local metrics = require("bartizan.metrics")
local operator = require("bartizan.operator")
local random = require("bartizan.random")
local refused = require("bartizan.refused")
local reply = require("bartizan.reply")
local requests = require("bartizan.requests")
local settings = require("bartizan.settings")
local worker = require("bartizan.worker")

local assign = line.assign
local begin = line.begin
local error = error
local find = string.find
local format = string.format
local id_of = requests.id
local ipairs = ipairs
local pairs = pairs
local put = line.put
local put_id = line.id
local require = require

local ngx = ngx
local is_internal = ngx.req.is_internal
local var = ngx.var

local _M = {}

-- ngx_lua 0.10.26 raises where a body comes over HTTP/2 without a length, so a client could make
-- the body guards fail at will.
local UNFIT = { [10026] = true }

local plans                     -- every plan's steps
local inspect_refused           -- what the rules say of refused requests, if they are to be asked

local function key_sets(loaded, shared)
    shared.issuers = {}
    for name, issuer in pairs(loaded.issuers) do
        shared.issuers[name] = require("bartizan.keysets").new(issuer, shared)
    end
end

-- A request goes through one long piece of Lua without loops that are its own, so its traces are
-- long, too: with LuaJIT's own bounds it gives up on them, and interprets.
local function lengthen_traces()
    jit.opt.start("maxrecord=20000", "maxirconst=8000", "maxside=1000", "maxtrace=4000",
                  "maxmcode=8192", "loopunroll=40", "instunroll=20", "callunroll=20")
end

-- Whether a guard counts by a header.
local function reads_headers(plan)
    for _, item in ipairs(plan) do
        if find(item.settings.by or "", "^header:") then
            return true
        end
    end
    return false
end

--- init_by_lua: in the master, before workers are forked, so that they share the memory.
-- @param path string: edge.json
-- Raises where the gateway must not start: nginx then doesn't.
function _M.init(path)
    if UNFIT[ngx.config.ngx_lua_version] then
        error(format("ngx_lua %d breaks on HTTP/2 bodies without a length; use another version",
                     ngx.config.ngx_lua_version), 0)
    end
    lengthen_traces()
    local loaded = settings.load(path)
    local shared = {
        settings = loaded,
        limits = ngx.shared.bartizan_limits,
        keys = ngx.shared.bartizan_keys,
        metrics = ngx.shared.bartizan_metrics,
        workers = ngx.shared.bartizan_workers,
    }
    metrics.init(loaded.routes, shared.metrics)
    log.init(loaded.routes)
    key_sets(loaded, shared)
    plans = {}
    for i, plan in ipairs(loaded.plans) do
        plans[i] = access.plan(plan, shared)
    end
    for _, route in ipairs(loaded.routes) do
        route.steps = plans[route.plan + 1]
        if not route.steps then
            error(format("%s: route %s has no plan %d", path, route.name, route.plan), 0)
        end
        route.cors = route.cors and cors.new(route.cors)
        route.reads_headers = reads_headers(loaded.plans[route.plan + 1])
        route.class_http1 = route.class .. "-http1"
        route.fronts = route.class == loaded.front
    end
    if loaded.inspect_refused then
        -- Only now: what matches patterns must be installed for that.
        local refusals = require("bartizan.inspection.refused")
        refusals.init(loaded.inspect_refused, shared)
        inspect_refused = refusals.run
    end
    intake.init(loaded)
    forward.init(loaded)
    worker.init(loaded, shared)
    operator.init(loaded, shared)
end

--- init_worker_by_lua.
function _M.start_worker()
    random.seed()
    log.start()
    worker.start()
    for _, steps in ipairs(plans) do
        for _, step in ipairs(steps) do
            if step.start then
                step.start(step.guard)
            end
        end
    end
end

--- exit_worker_by_lua.
function _M.stop_worker()
    worker.stop()
end

-- What our own part of an answer's header says of the request.
local function announce(request)
    var.bartizan_id = id_of(request)
    if request.ratelimit then
        var.bartizan_ratelimit = request.ratelimit
        var.bartizan_ratelimit_policy = request.ratelimit_policy
    end
end

local ANSWER = line.variable("bartizan_answer")

-- Lets a request on to its upstream. A field in HTTP/1 is a line, so there all of ours are one
-- value; HTTP/2 needs them one by one, and so does who adds others (CORS).
-- @return string: the class, which names the location
local function pass(request)
    forward.run(request)
    local route = request.route
    if request.http2 or route.cors then
        announce(request)
        return route.class
    end
    begin()
    put("nosniff\r\nX-Request-Id: ")
    put_id(request.drawn, request.number)
    if request.ratelimit then
        put("\r\nRateLimit: ")
        put(request.ratelimit)
        put("\r\nRateLimit-Policy: ")
        put(request.ratelimit_policy)
    end
    assign(ANSWER)
    -- The empty class is the location that all begin with, whose requests go on as they came.
    return route.fronts and request.as_it_came and "" or route.class_http1
end

-- Whether the guards of a route must be asked in the access phase: where one may make the request
-- wait, or reads the body that it has. Over HTTP/2 a body may come without saying so. Where answers
-- get CORS headers there is one location for all requests.
local function needs_access_phase(request, route)
    return route.waits or route.reads_body and (request.content_length ~= nil
        or request.transfer_encoding ~= nil or request.http2 or route.cors ~= nil)
end

--- set_by_lua in a public server: the class of the request, which names its location.
-- A request that no guard makes wait is walked through its guards here: the access phase would cost
-- a coroutine more.
-- @param listener string: https or http
function _M.route(listener)
    if is_internal() then
        return "refused"        -- nginx's error_page; a request is routed only once
    end
    local request, class = intake.read(listener)
    local route = request.route
    if not route or request.answer or needs_access_phase(request, route) then
        if class == "acme" then
            announce(request)
        end
        return class
    end
    local verdict = access.walk(request)
    if verdict then
        request.refusal = verdict
        return "edge"
    end
    return pass(request)
end

--- access_by_lua in the location of a class whose guards may make a request wait.
function _M.access()
    local request = requests.get()
    local verdict = access.walk(request)
    announce(request)
    if verdict then
        return reply.refuse(request, verdict)
    end
    -- This location names the target, whatever it is.
    request.as_it_came = false
    forward.run(request)
end

--- header_filter_by_lua in the location of a class.
_M.answered = answered.check

--- body_filter_by_lua in the location of a class, at the end of an answer: nginx tells nowhere else
-- that an answer came to its end, and was not cut off. What nginx counts of an answer with a length
-- would tell it, too, but to ask for two variables costs as much.
function _M.whole()
    local request = requests.get()
    if request then
        request.whole = true
    end
end

local answers = {}

function answers.health()
    return reply.send(200, nil, '{"status":"ok"}\n')
end

function answers.preflight(request)
    local verdict, headers = cors.preflight(request.route.cors, request.headers)
    if verdict then
        audit.decision(request, "refused", "cors", "enforce", verdict, verdict.reason)
        return reply.refuse(request, verdict)
    end
    return reply.send(204, headers)
end

function answers.redirect(request)
    local method = request.method
    -- 308 keeps method and body (RFC 9110 section 15.4.9); old clients know 301 better.
    return reply.send((method == "GET" or method == "HEAD") and 301 or 308,
                      { Location = intake.public_origin(request) .. request.forward })
end

--- access_by_lua in the locations `edge` and `close`: what is answered here.
function _M.answer()
    local request = requests.get()
    announce(request)
    if request.refusal then
        if inspect_refused then
            inspect_refused(request, request.refusal.status)
        end
        return reply.refuse(request, request.refusal)
    end
    return answers[request.answer](request)
end

--- access_by_lua in the location `refused`.
-- @param listener string
function _M.refused(listener)
    local request = requests.get() or intake.early(listener)
    announce(request)
    return refused.run(request, listener)
end

--- log_by_lua in a public server.
-- @param listener string
function _M.log(listener)
    local request = requests.take()
    if not request then
        intake.early(listener)
        request = requests.take()
    end
    log.run(request, ngx.status)
    requests.recycle(request)
end

--- content_by_lua of the operator's listener.
_M.operator = operator.run

return _M
