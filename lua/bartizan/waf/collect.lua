--- What a request carries, as SecLang sees it: the variables that rules look at.
--
--     local t = collect.head(source)               the request's head: phase 1 can run
--     collect.body(t, body, { window = 131072 })   and its body: phase 2
--     t.scalars.REQUEST_URI                        a text; nil: the variable does not exist
--     t.collections.ARGS                           { names = {…}, values = {…}, n = 3 }
--
-- A source is {method, target, protocol} and, where known, {names, values, count, line, address,
-- port, server_address, server_port, id, time}: `target` and `line` as the client sent them,
-- `protocol` as HTTP/1.1, `names` and `values` of the header fields as sent, `time` in seconds. In
-- the place of `id`, which few rules ask for, it may have a function `id_of` of its `request`.
--
-- Tables of a transaction are for reading only: they share their arrays with each other and with
-- the source, and what stands in an array behind `n` means nothing. Header collections have `lower`
-- too, the names in lower case. Collections of names (ARGS_NAMES) are the `names` of theirs.
-- What is asked for after `body` must be asked anew: ARGS goes on with what the body holds, behind
-- the same first ARGS_GET.n arguments.
--
-- `t.head` and `t.body` say how much of the request these variables hold:
--
--     complete   "full", "partial" or "none"
--     why        nil for "full", otherwise one word:
--                  too_large    only the window's bytes were read
--                  too_many     more arguments or cookies than the limit, or longer names (JSON)
--                  too_deep     JSON nested deeper than the limit
--                  malformed    JSON that is none
--                  encoding     a Content-Encoding
--                  media_type   no processor for the type, no type, or two types
--                  disabled     ctl:requestBodyAccess=Off
--     error      a sentence, where a reader gave up
--     processor  (body) "URLENCODED", "JSON", "XML", "MULTIPART" or nil
--
-- Where ModSecurity's manual and libmodsecurity 3.0.9 differ, REQUEST_URI is raw, as the manual has
-- it. The manual has REQUEST_BODY for forms and where it is forced (ctl), the library always: here
-- JSON has it, too, which CRS 934210 counts on, but XML has not, as CRS 944100 wants it.

local clock = require("bartizan.clock")
local cookies = require("bartizan.waf.cookies")
local json = require("bartizan.waf.bodies.json")
local media = require("bartizan.waf.media")
local query = require("bartizan.waf.query")
local transaction = require("bartizan.waf.transaction")
local urlencoded = require("bartizan.waf.bodies.urlencoded")

local clear = require("table.clear")

local byte = string.byte
local find = string.find
local format = string.format
local is_identity = media.is_identity
local lower = string.lower
local new_transaction = transaction.new
local now = clock.now
local processor_of = media.processor
local read_cookies = cookies.read
local read_json = json.read
local read_query = query.read
local read_urlencoded = urlencoded.read
local reset = transaction.reset
local sub = string.sub
local tostring = tostring

local _M = {
    --- Bounds where the caller names none: arguments altogether, and depth of JSON.
    ARGUMENTS = 1000,
    DEPTH = 64,
    --- The names that t.scalars and t.collections know.
    SCALARS = transaction.SCALARS,
    COLLECTIONS = transaction.COLLECTIONS,
    --- Drops everything that a transaction holds, for another request to use its tables.
    reset = transaction.reset,
    --- What ctl:requestBodyProcessor may choose.
    PROCESSORS = { URLENCODED = true, JSON = true, XML = true, MULTIPART = true },
}

local function full(verdict)
    verdict.complete, verdict.why, verdict.error = "full", nil, nil
end

local function fall_short(verdict, complete, why, sentence)
    verdict.complete, verdict.why, verdict.error = complete, why, sentence
end

--- Chooses who reads the body, as ctl:requestBodyProcessor does: REQBODY_PROCESSOR says so at once.
-- @param name string: one of collect.PROCESSORS, or the body will not be read
local function set_processor(t, name)
    t.body.processor = name
    t.scalars.REQBODY_PROCESSOR = name
end
_M.set_processor = set_processor

-- Header names repeat from request to request; emptied when it has grown to its bound.
local LOWER_BOUND = 512
local LOWER_LONGEST = 64
local lowered, lowered_count = {}, 0

local function lower_of(name)
    local known = lowered[name]
    if known then
        return known
    end
    known = lower(name)
    if #name <= LOWER_LONGEST then
        if lowered_count >= LOWER_BOUND then
            clear(lowered)
            lowered_count = 0
        end
        lowered[name], lowered_count = known, lowered_count + 1
    end
    return known
end

local function read_content_type(t, value)
    local processor = processor_of(value)
    local before = t.body.processor
    if t.has_type and processor ~= before then
        -- Who reads the body behind us can't be known.
        t.two_types = true
    end
    t.has_type = true
    -- With two, the one that has a processor is read.
    if processor then
        set_processor(t, processor)
    end
end

local function read_cookie_field(t, value)
    local jar = t.collections.REQUEST_COOKIES
    local n, all = read_cookies(value, jar.names, jar.values, jar.n, cookies.MOST)
    jar.n = n
    if not all then
        fall_short(t.head, "partial", "too_many", format("more than %d cookies", cookies.MOST))
    end
end

-- The fields that mean more than their own value.
local READERS = {
    ["content-type"] = read_content_type,
    cookie = read_cookie_field,
    ["content-encoding"] = function(t, value)
        if not is_identity(value) then
            t.encoding = true
        end
    end,
    host = function(t, value)
        if t.host == "" then
            t.host = value
        end
    end,
    authorization = function(t, value)
        if t.authorization == "" then
            t.authorization = value
        end
    end,
}

local function read_fields(t, source)
    local names, values, count = source.names, source.values, source.count
    if not names then
        return                                  -- refused before they were read
    end
    local fields = t.collections.REQUEST_HEADERS
    local lowers = fields.lower
    fields.names, fields.values, fields.n = names, values, count
    for i = 1, count do
        local name = lower_of(names[i])
        lowers[i] = name
        local reader = READERS[name]
        if reader then
            reader(t, values[i])
        end
    end
end

-- REQUEST_URI has no domain, even where the request line had one (RFC 9112 section 3.2.2).
local function without_origin(target)
    local scheme_end = find(target, "://", 1, true)
    local question = find(target, "?", 1, true)
    if not scheme_end or question and question < scheme_end then
        return target                           -- "*", or something else that is no URL
    end
    local path = find(target, "/", scheme_end + 3, true)
    if path and not (question and question < path) then
        return sub(target, path)
    end
    return "/" .. (question and sub(target, question) or "")
end

local function read_target(t, target)
    local texts = t.scalars
    texts.REQUEST_URI_RAW = target
    local uri = byte(target) == 0x2F and target or without_origin(target)
    texts.REQUEST_URI = uri
    local question = find(uri, "?", 1, true)
    if not question then
        t.path = uri
        return
    end
    t.path = sub(uri, 1, question - 1)
    local text = sub(uri, question + 1)
    texts.QUERY_STRING = text
    local n, malformed, all = read_query(text, t.names, t.values, 0, _M.ARGUMENTS)
    t.collections.ARGS.n, t.collections.ARGS_GET.n = n, n
    if malformed then
        texts.URLENCODED_ERROR = "1"
    end
    if not all then
        fall_short(t.head, "partial", "too_many", format("more than %d arguments", _M.ARGUMENTS))
    end
end

--- Reads a request's head.
-- @param source table: see the head of this file
-- @param t table|nil: a transaction that is not needed any more
-- @return table: the transaction
function _M.head(source, t)
    if t then
        reset(t)
    else
        t = new_transaction()
    end
    t.source, t.started = source, now()
    full(t.head)
    full(t.body)
    t.body.processor = nil
    local texts = t.scalars
    texts.REQUEST_METHOD, texts.REQUEST_PROTOCOL = source.method, source.protocol
    local address = source.address
    if address then
        texts.REMOTE_ADDR, texts.REMOTE_HOST = address, address
    end
    texts.REMOTE_PORT = source.port and tostring(source.port)
    texts.SERVER_ADDR = source.server_address
    texts.SERVER_PORT = source.server_port and tostring(source.server_port)
    texts.UNIQUE_ID = source.id
    read_target(t, source.target)
    read_fields(t, source)
    return t
end

local function set_error(t, sentence)
    local texts = t.scalars
    texts.REQBODY_ERROR, texts.REQBODY_PROCESSOR_ERROR = "1", "1"
    texts.REQBODY_ERROR_MSG, texts.REQBODY_PROCESSOR_ERROR_MSG = sentence, sentence
end

-- Reads the body with its processor, and says in t.body what of it was read.
local function read_body(t, text, limits, cut, force)
    local verdict, texts = t.body, t.scalars
    local processor, arguments = verdict.processor, t.collections.ARGS
    if processor == "URLENCODED" then
        local n, malformed, why, sentence =
            read_urlencoded(text, t.names, t.values, arguments.n, limits)
        arguments.n = n
        if malformed then
            texts.URLENCODED_ERROR = "1"
        end
        if why then
            fall_short(verdict, "partial", why, sentence)
            set_error(t, "Form: " .. sentence)
        end
    elseif processor == "JSON" then
        local n, why, sentence =
            read_json(text, t.names, t.values, arguments.n, limits, cut)
        arguments.n = n
        if why then
            fall_short(verdict, "partial", why, sentence)
            set_error(t, "JSON: " .. sentence)
        end
    elseif processor or not force then
        fall_short(verdict, "none", "media_type")
    elseif not t.has_type then
        -- The text is there for rules, but not the arguments that a service finds in it which reads
        -- a body without asking what it is (RFC 9110 section 8.3 lets it guess).
        fall_short(verdict, "partial", "media_type", "a body without a Content-Type")
    end
    if processor == "URLENCODED" or processor == "JSON" or force then
        texts.REQUEST_BODY = text
    end
    if cut then
        texts.INBOUND_DATA_ERROR, texts.INBOUND_ERROR_DATA = "1", "1"
        if verdict.complete == "full" then
            fall_short(verdict, "partial", "too_large")
        end
    end
    if t.two_types and verdict.complete == "full" then
        fall_short(verdict, "partial", "media_type", "two Content-Type fields that differ")
    end
end

-- Bounds in one table that is used again: reading never yields.
local bounds = {}

--- Reads a request's body and adds it to a transaction.
-- @param t table: of collect.head, whose phase 1 is over
-- @param text string|nil: the body, or its beginning; nil and "" where there is none
-- @param limits table: {window = how many bytes are read, at most}, and perhaps {truncated = there
--   is more of it, length = of the whole body, arguments, depth = bounds}; and what ctl has
--   changed: processor (requestBodyProcessor), force = true (forceRequestBodyVariable), access =
--   false (requestBodyAccess)
-- @return table: the transaction
function _M.body(t, text, limits)
    local texts, verdict = t.scalars, t.body
    if limits.processor then
        set_processor(t, limits.processor)
    end
    t.collections.ARGS_POST = nil
    texts.ARGS_COMBINED_SIZE, texts.FULL_REQUEST, texts.FULL_REQUEST_LENGTH = nil, nil, nil
    if not text or text == "" then
        return t
    end
    texts.REQUEST_BODY_LENGTH = tostring(limits.length or #text)
    local cut = limits.truncated or false
    if #text > limits.window then
        text, cut = sub(text, 1, limits.window), true
    end
    if limits.access == false then
        fall_short(verdict, "none", "disabled")
        return t
    elseif t.encoding then
        fall_short(verdict, "none", "encoding")
        return t
    end
    t.text = text
    bounds.arguments = limits.arguments or _M.ARGUMENTS
    bounds.depth = limits.depth or _M.DEPTH
    read_body(t, text, bounds, cut, limits.force)
    return t
end

--- A variable's text: t.scalars[name]. nil: it does not exist.
function _M.scalar(t, name)
    return t.scalars[name]
end

--- A collection: t.collections[name].
function _M.collection(t, name)
    return t.collections[name]
end

return _M
