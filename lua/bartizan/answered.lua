--- The upstream's answer as nginx read it, before anything of it goes to the client.
--
-- nginx takes what does not begin with a status line for an answer of HTTP/0.9: it would hand the
-- bytes on as they are, with no head before them, and from then on takes the client's request for
-- HTTP/0.9, too. Of interim answers (1xx) it knows none: it would send one as the answer, and the
-- answer behind it as its body. The client would read bytes as an answer that nobody judged.

local base = require("resty.core.base")
local ffi = require("ffi")
local requests = require("bartizan.requests")

local C = ffi.C
local get_request = base.get_request

local ngx = ngx
local exit = ngx.exit
local http_version = ngx.req.http_version
local var = ngx.var

local _M = {}

-- Classes of status codes (RFC 9110 section 15). The two calls below are declared in resty.core.
local FINAL = 200
local SWITCHING = 101
local BAD_GATEWAY = 502

-- A switch of protocols that was asked for (RFC 9110 section 15.2.2).
local function is_upgrade(request, status)
    return status == SWITCHING and request.switching
end

--- header_filter_by_lua: lets an answer go on, or makes it a 502 (refused.lua).
function _M.check()
    local current = get_request()
    local status = C.ngx_http_lua_ffi_get_resp_status(current)
    if status >= FINAL then
        -- Leaves the words to nginx: the upstream's own could hold a NUL.
        C.ngx_http_lua_ffi_set_resp_status(current, status)
        return
    end
    local request = requests.get()
    if is_upgrade(request, status) then
        return
    end
    request.unreadable = true
    -- HTTP/2 has frames for the head, whatever nginx makes of the version.
    request.headless = http_version() == 0.9 and var.http2 == ""
    exit(BAD_GATEWAY)
end

return _M
