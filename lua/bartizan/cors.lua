--- Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol): preflights are
--- answered at the edge, without a token, and answers carry what lets the page read them.

local concat = table.concat
local gmatch = string.gmatch
local ipairs = ipairs
local lower = string.lower
local tostring = tostring
local type = type

local var = ngx.var

local _M = {}

local FOREIGN = {
    status = 403, code = "origin_not_allowed", reason = "an origin that the route does not allow",
}
local METHOD = {
    status = 403, code = "method_not_allowed_cross_origin",
    reason = "a method that the route does not allow to other origins",
}
local HEADERS = {
    status = 403, code = "header_not_allowed_cross_origin",
    reason = "headers that the route does not allow to other origins",
}

local function set(names)
    local members = {}
    for _, name in ipairs(names) do
        members[name] = true
    end
    return members
end

--- Prepares a route's settings.
-- @param settings table: {origins, methods, headers, expose, credentials, max_age}
function _M.new(settings)
    local expose = concat(settings.expose, ", ")
    return {
        any = settings.origins[1] == "*",
        origins = set(settings.origins),
        methods = set(settings.methods),
        headers = set(settings.headers),
        method_list = concat(settings.methods, ", "),
        header_list = concat(settings.headers, ", "),
        expose = expose ~= "" and expose or nil,
        credentials = settings.credentials,
        max_age = tostring(settings.max_age),
    }
end

--- Whether a request is a preflight: CORS-preflight fetch of the standard.
function _M.is_preflight(method, headers)
    return method == "OPTIONS"
        and type(headers["origin"]) == "string"
        and type(headers["access-control-request-method"]) == "string"
end

--- Sets what the answer to a cross-origin request carries, refusals included.
-- Without "*", caches must know that the answer depends on the origin.
function _M.apply(cors, headers)
    local origin = headers["origin"]
    if not cors.any then
        var.bartizan_cors_vary = "Origin"
    end
    if type(origin) ~= "string" or not (cors.any or cors.origins[lower(origin)]) then
        return
    end
    var.bartizan_cors_origin = cors.any and "*" or origin
    if cors.credentials then
        var.bartizan_cors_credentials = "true"
    end
    if cors.expose then
        var.bartizan_cors_expose = cors.expose
    end
end

--- Judges a preflight.
-- @return nil, table: the headers of the answer that allows it
-- @return table: the verdict that refuses it
function _M.preflight(cors, headers)
    if not (cors.any or cors.origins[lower(headers["origin"])]) then
        return FOREIGN
    elseif not cors.methods[headers["access-control-request-method"]] then
        return METHOD
    end
    local wanted = headers["access-control-request-headers"]
    if type(wanted) == "table" then
        wanted = concat(wanted, ",")
    end
    for name in gmatch(lower(wanted or ""), "[^,%s]+") do
        if not cors.headers[name] then
            return HEADERS
        end
    end
    return nil, {
        ["Access-Control-Allow-Methods"] = cors.method_list,
        ["Access-Control-Allow-Headers"] = cors.header_list ~= "" and cors.header_list or nil,
        ["Access-Control-Max-Age"] = cors.max_age,
    }
end

return _M
