--- Composes a value for nginx, piece by piece, without making a Lua string of it.
--
-- A value that is new at each request, as all are that hold its id, would be hashed, interned and
-- collected, only to be copied by nginx: that costs more than all pieces. There is one buffer, so a
-- value is composed and handed over without a pause.
--
--     line.begin()
--     line.put("nosniff")
--     line.assign(line.variable("bartizan_answer"))      -- the variable is made once, at load

local base = require("resty.core.base")
local ffi = require("ffi")
require("resty.core.var")               -- declares what is called here

local C = ffi.C
local copy = ffi.copy
local error = error
local ffi_str = ffi.string
local get_request = base.get_request

local _M = {}

-- A header that nginx takes is never longer than its four buffers.
local SIZE = 4 * 16384 + 4096
local ERROR_SIZE = 256

local buffer = ffi.new("char[?]", SIZE)
local length = 0
local problem = ffi.new("char[?]", ERROR_SIZE)
local problem_size = ffi.new("size_t[1]")

--- A variable of nginx that can be assigned.
-- @param name string
function _M.variable(name)
    return { name = name, length = #name, lower = ffi.new("char[?]", #name + 1) }
end

function _M.begin()
    length = 0
end

function _M.put(piece)
    local size = #piece
    if length + size > SIZE then
        error("a value of more than " .. SIZE .. " bytes for nginx")
    end
    copy(buffer + length, piece, size)
    length = length + size
end

--- Gives what was put since `begin` to a variable.
function _M.assign(variable)
    problem_size[0] = ERROR_SIZE
    local code = C.ngx_http_lua_ffi_var_set(get_request(), variable.name, variable.length,
        variable.lower, buffer, length, problem, problem_size)
    if code ~= 0 then
        error("could not assign $" .. variable.name .. ": " .. ffi_str(problem, problem_size[0]))
    end
end

return _M
