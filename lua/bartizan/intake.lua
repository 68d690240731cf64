--- Takes a request in: reads it once, canonically, and finds what is to become of it.
--
-- The outcome is a class: the name of an internal location under /.bartizan/. Those of routes know
-- upstream, body cap and time-outs; `edge` answers here (no route, wrong method, preflight,
-- redirect, health); `close` does so and closes the connection; `acme` serves certbot's
-- challenges; `refused` is for nginx's own refusals.

local audit = require("bartizan.audit")
local cors = require("bartizan.cors")
local fields = require("bartizan.fields")
local headers = require("bartizan.headers")
local random = require("bartizan.random")
local requests = require("bartizan.requests")
local redact = require("bartizan.redact")
local router = require("bartizan.router")
local target = require("bartizan.target")

local by_name = fields.by_name
local byte = string.byte
local concat = table.concat
local find = string.find
local format = string.format
local gsub = string.gsub
local is_preflight = cors.is_preflight
local is_loggable = fields.is_loggable
local lower = string.lower
local mask = redact.read
local match = router.match
local next_id = random.next
local open_request = requests.open
local parse = target.parse
local read_fields = fields.read
local read_host = headers.read_host
local select = select
local sub = string.sub
local type = type

local ngx = ngx
local var = ngx.var

local _M = {}

local HEALTH = "/healthz"
local ACME = "/.well-known/acme-challenge/"

local NO_ROUTE = { status = 404, code = "no_route", reason = "no route covers the path" }
local NO_CHALLENGE = { status = 404, code = "no_route", reason = "no such challenge" }
local HEALTH_METHOD = {
    status = 405, code = "method_not_allowed", headers = { Allow = "GET, HEAD" },
    reason = "the health check is read with GET",
}

local routes                    -- the router
local default_host              -- the host of the public origin
local origin                    -- the public origin
local redirects = {}            -- listeners that only redirect

--- Sets up the intake. Runs once, in the master.
-- @param settings table: edge.json
function _M.init(settings)
    routes = router.new(settings.routes)
    default_host = read_host(string.match(settings.origin, "^%a+://(.+)$"))
    origin = settings.origin
    redirects.http = settings.http_redirect
end

-- IPv6 by /64: that is what one customer gets, who can use any address in it.
local address_keys, address_count = {}, 0

local function address_key(address)
    if not find(address, ":", 1, true) then
        return address
    end
    local key = address_keys[address]
    if key then
        return key
    end
    local binary = var.binary_remote_addr
    if #binary ~= 16 then
        key = address                                           -- a Unix socket: "unix:"
    elseif sub(binary, 1, 12) == "\0\0\0\0\0\0\0\0\0\0\255\255" then
        key = format("%d.%d.%d.%d", byte(binary, 13, 16))        -- RFC 4291 section 2.5.5.2
    else
        key = format("%02x%02x:%02x%02x:%02x%02x:%02x%02x::/64", byte(binary, 1, 8))
    end
    if address_count >= 4096 then
        address_keys, address_count = {}, 0
    end
    address_keys[address], address_count = key, address_count + 1
    return key
end

local function new_request(listener)
    local address = var.remote_addr
    local key = address_key(address)
    if key ~= address then
        var.bartizan_network = key                              -- by which connections are counted
    end
    local request = open_request()
    request.drawn, request.number = next_id()
    request.listener = listener
    request.address = address
    request.address_key = key
    request.line = var.request
    return request
end

local function refuse_with(request, verdict)
    request.refusal = verdict
    audit.decision(request, "refused", "edge", "enforce", verdict, verdict.reason)
end

-- Where the bytes themselves were wrong, what follows on the connection can't be trusted either:
-- `close` ends it.
local function refuse(request, status, code, reason)
    refuse_with(request, { status = status, code = code, reason = reason })
    return "close"
end

-- Hosts and request lines that were read before: most are, again and again. Clients choose them,
-- so what is remembered is bounded, and emptied when it has grown to that.
local MEMO_BOUND = 4096
local hosts, host_count = {}, 0

-- A target takes some 700 bytes besides its text.
local TARGETS_BOUND = 16384
local TARGETS_BYTES = 4194304
local TARGET_LONGEST = 1024
local targets, target_count, target_bytes = {}, 0, 0

local function known_host(field)
    local host = hosts[field]
    if not host then
        host = read_host(field)
        if host then                            -- then it is no longer than a name may be
            if host_count >= MEMO_BOUND then
                hosts, host_count = {}, 0
            end
            hosts[field], host_count = host, host_count + 1
        end
    end
    return host
end

local function known_target(line)
    local read = targets[line]
    if read then
        return read
    end
    local status, code, reason
    read, status, code, reason = parse(line)
    if read then
        read.shown = mask(read)
        read.as_it_came = line == concat({ read.method, read.forward, read.protocol }, " ")
        read.loggable = not (read.shown or find(line, '["\\]'))
    end
    if read and #line <= TARGET_LONGEST then
        if target_count >= TARGETS_BOUND or target_bytes > TARGETS_BYTES then
            targets, target_count, target_bytes = {}, 0, 0
        end
        targets[line], target_count, target_bytes = read, target_count + 1, target_bytes + #line
    end
    return read, status, code, reason
end

-- The route of a target. The last answer is kept beside the target, for the host it was for.
local function known_route(read, host)
    if read.host == host then
        return read.route, read.allow
    end
    local route, allow = match(routes, host, read.key, read.method)
    read.host, read.route, read.allow = host, route, allow
    return route, allow
end

local function read_authority(request, authority)
    local field = request.host_field
    if not field then
        -- Only HTTP/1.0 comes so far without one. It means the public origin, and no other.
        if authority then
            return refuse(request, 400, "bad_request", "a target that names a host, and no Host")
        end
        request.host = default_host
        return nil
    end
    local host = type(field) == "string" and known_host(field)
    if not host then
        return refuse(request, 400, "bad_request", "a Host that is no host name or address")
    elseif authority and lower(authority) ~= lower(field) then
        return refuse(request, 400, "bad_request", "a target for another host than Host's")
    end
    request.host = host
    return nil
end

local function no_route(request, allow)
    if allow then
        refuse_with(request, {
            status = 405, code = "method_not_allowed", headers = { Allow = allow },
            reason = "the path is served, but not with this method",
        })
    else
        refuse_with(request, NO_ROUTE)
    end
    return "edge"
end

local function find_route(request, read)
    if read.method == "OPTIONS" and is_preflight(read.method, by_name(request)) then
        local given = request.headers
        local wanted = match(routes, request.host, read.key, given["access-control-request-method"])
        if wanted and wanted.cors then
            request.route, request.answer = wanted, "preflight"
            cors.apply(wanted.cors, given)
            return "edge"
        end
    end
    local route, allow = known_route(read, request.host)
    if not route then
        return no_route(request, allow)
    end
    request.route = route
    if route.cors then
        cors.apply(route.cors, by_name(request))
    elseif route.reads_headers then
        by_name(request)
    end
    return route.class
end

local function reserved(request)
    local path, method = request.path, request.method
    if path == HEALTH then
        if method == "GET" or method == "HEAD" then
            request.answer = "health"
            return "edge"
        end
        refuse_with(request, HEALTH_METHOD)
        return "edge"
    end
    if request.listener == "http" and sub(path, 1, #ACME) == ACME then
        local token = sub(path, #ACME + 1)
        -- RFC 8555 section 8.3: base64url. Nothing else is looked for on the disk.
        if find(token, "^[%w_-]+$") and (method == "GET" or method == "HEAD") then
            request.answer = "acme"
            var.bartizan_target = token
            return "acme"
        end
        refuse_with(request, NO_CHALLENGE)
        return "edge"
    end
    if redirects[request.listener] then
        request.answer = "redirect"
        return "edge"
    end
    return nil
end

--- Reads the current request.
-- @param listener string: https or http
-- @return table, string: the request, and its class
function _M.read(listener)
    local request = new_request(listener)
    local read, status, code, reason = known_target(request.line)
    if not read then
        return request, refuse(request, status, code, reason)
    end
    request.method = read.method
    request.path = read.path
    request.query = read.query
    request.forward = read.forward
    request.http2 = read.protocol == "HTTP/2.0"
    status, reason = read_fields(request, not request.http2)
    if status then
        return request, refuse(request, status, status == 431 and "header_too_large"
                               or "bad_request", reason)
    end
    request.shown = read.shown
    request.as_it_came = read.as_it_came and not request.http2
    request.loggable = read.loggable and is_loggable(request.user_agent)
    local class = read_authority(request, read.authority)
    if class then
        return request, class
    end
    return request, reserved(request) or find_route(request, read)
end

--- Where a request on the listener that only redirects belongs: the public origin, or the same for
--- a host that some route names. Never what the client made up.
function _M.public_origin(request)
    if routes.hosts[request.host] and request.host ~= default_host then
        return (gsub(origin, "^(%a+://)%[?[^%]/]-%]?(:?%d*)$", "%1" .. request.host .. "%2"))
    end
    return origin
end

--- The methods that a request could have used, as Allow has them; "" where there are none.
function _M.allowed(request)
    local read = parse(request.line or "")
    local host = read and read_host(var.host or "")
    local allow
    if host then
        -- No route has a method without a name, so this is never a route.
        allow = select(2, match(routes, host, read.key, ""))
    end
    return allow or ""
end

--- Makes a request of what there is where nginx refused it before it was routed.
function _M.early(listener)
    return new_request(listener)
end

return _M
