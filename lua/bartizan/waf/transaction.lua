--- The tables of one request's variables, made once and used again.
--
-- What they hold is described in waf.collect, which fills them. Single texts that are not there yet
-- are built when they are asked for (waf.scalars).

local scalars = require("bartizan.waf.scalars")

local clear = require("table.clear")

local pairs = pairs
local rawset = rawset
local setmetatable = setmetatable

local BUILD, DEFAULTS, FRESH = scalars.BUILD, scalars.DEFAULTS, scalars.FRESH

local _M = {
    --- The names that t.scalars and t.collections know.
    SCALARS = {
        REQUEST_METHOD = true, REQUEST_PROTOCOL = true, REQUEST_URI = true, REQUEST_URI_RAW = true,
    },
    COLLECTIONS = {
        ARGS = true, ARGS_GET = true, ARGS_POST = true, REQUEST_HEADERS = true,
        REQUEST_COOKIES = true,
    },
}

for name in pairs(BUILD) do _M.SCALARS[name] = true end
for name in pairs(DEFAULTS) do _M.SCALARS[name] = true end
for name in pairs(FRESH) do _M.SCALARS[name] = true end

local EMPTY = { names = {}, values = {}, n = 0 }

-- Of bodies that are not read: multipart and XML. And what a proxy has none of.
local WITHOUT = {
    "FILES", "FILES_SIZES", "FILES_TMPNAMES", "FILES_TMP_CONTENT", "MULTIPART_FILENAME",
    "MULTIPART_NAME", "MULTIPART_PART_HEADERS", "XML",
}
for _, name in pairs(WITHOUT) do
    _M.COLLECTIONS[name] = true
end

-- What builds a scalar that is not there yet; t.scalars[1] is t.
local Scalars = {}

function Scalars.__index(of, name)
    local build = BUILD[name]
    if build then
        local value = build(of[1])
        rawset(of, name, value)
        return value
    end
    local default = DEFAULTS[name]
    if default then
        return default
    end
    local fresh = FRESH[name]
    return fresh and fresh(of[1])
end

-- ARGS_POST is what ARGS holds behind ARGS_GET; no rule of CRS asks for it.
local Collections = {}

function Collections.__index(of, name)
    if name ~= "ARGS_POST" then
        return nil
    end
    local arguments, first = of.ARGS, of.ARGS_GET.n
    local names, values, n = {}, {}, arguments.n - first
    for i = 1, n do
        names[i], values[i] = arguments.names[first + i], arguments.values[first + i]
    end
    local post = { names = names, values = values, n = n }
    rawset(of, "ARGS_POST", post)
    return post
end

--- Makes a transaction that holds nothing yet.
function _M.new()
    local names, values = {}, {}
    local t = {
        source = false, path = "", host = "", authorization = "", encoding = false,
        started = 0, text = false,
        has_type = false, two_types = false,
        head = {}, body = {}, names = names, values = values,
    }
    t.scalars = setmetatable({ t }, Scalars)
    local collections = {
        ARGS = { names = names, values = values, n = 0 },
        ARGS_GET = { names = names, values = values, n = 0 },
        REQUEST_HEADERS = { names = names, values = values, n = 0, lower = {} },
        REQUEST_COOKIES = { names = {}, values = {}, n = 0 },
    }
    for i = 1, #WITHOUT do
        collections[WITHOUT[i]] = EMPTY
    end
    t.collections = setmetatable(collections, Collections)
    return t
end

--- Drops everything that a transaction holds, for another request to use its tables.
function _M.reset(t)
    local collections = t.collections
    collections.ARGS.n, collections.ARGS_GET.n, collections.ARGS_POST = 0, 0, nil
    clear(t.names)
    clear(t.values)
    local jar = collections.REQUEST_COOKIES
    clear(jar.names)
    clear(jar.values)
    jar.n = 0
    local fields = collections.REQUEST_HEADERS
    fields.names, fields.values, fields.n = EMPTY.names, EMPTY.values, 0
    clear(fields.lower)
    clear(t.scalars)
    t.scalars[1] = t
    t.source, t.path, t.host, t.authorization, t.encoding = false, "", "", "", false
    t.text, t.has_type, t.two_types, t.waf = false, false, false, nil
end

return _M
