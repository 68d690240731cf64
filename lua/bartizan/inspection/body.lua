--- The body of the current request, as far as it is inspected. Only in the access phase: to read a
--- body is to wait for it.
--
-- nginx holds a body of up to client_body_buffer_size in memory, which is the window here
-- (openresty/classes.conf.j2), and puts longer ones into a file. A body in small chunks fills the
-- buffer with their lengths, too, so a file may hold less than the window.

local io_open = io.open
local min = math.min
local concat = table.concat
local error = error
local format = string.format
local sub = string.sub

local ngx = ngx
local get_body_data = ngx.req.get_body_data
local get_body_file = ngx.req.get_body_file
local read_body = ngx.req.read_body
local sleep = ngx.sleep

local _M = {}

-- A file was written just now, so it is read from memory, but not in one go: 64 KiB take some 20
-- microseconds, and between two of them other requests get their turn.
local SLICE = 65536

local function read_file(path, window)
    local file, err = io_open(path, "rb")
    if not file then
        error("could not open a request body that nginx put into a file: " .. err, 0)
    end
    file:setvbuf("no")
    local slices, count, size = {}, 0, 0
    while size <= window do
        -- One byte beyond the window tells that there is more.
        local slice, problem = file:read(min(SLICE, window + 1 - size))
        if problem then
            file:close()
            error(format("could not read %s: %s", path, problem), 0)
        elseif not slice then
            break
        end
        count = count + 1
        slices[count], size = slice, size + #slice
        if size <= window then
            sleep(0)
        end
    end
    file:close()
    return concat(slices)
end

--- Reads the body.
-- @param window number: so many bytes of it, at most
-- @return nil: there is none
-- @return string, boolean: its beginning, and whether there is more
-- Raises a string where a file can't be read. A client that goes, or sends too much, ends the
-- request here: nginx does.
function _M.read(window)
    read_body()
    local data = get_body_data()
    if not data then
        local path = get_body_file()
        if not path then
            return nil
        end
        data = read_file(path, window)
    end
    if #data > window then
        return sub(data, 1, window), true
    end
    return data, false
end

return _M
