--- The last good key set, remembered on disk: where a restart begins while the issuer is away.
--
-- The file says whose set it is. A policy that names another issuer, or another address under the
-- same name, does not get the keys of the one before.

local json = require("bartizan.json")

local byte = string.byte
local format = string.format
local gsub = string.gsub
local io_open = io.open
local os_remove = os.remove
local os_rename = os.rename
local tostring = tostring
local type = type

local _M = {}

local FORMAT = 1
-- The set (262,144 bytes at most), escaped at worst sixfold.
local MAX_BYTES = 2000000
-- <errno.h> of Linux.
local ENOENT = 2

local function quote(text)
    return '"' .. gsub(text, '[%c"\\]', function(c)
        return format("\\u%04x", byte(c))
    end) .. '"'
end

--- Remembers a set, atomically: whoever reads finds the old file or the new one.
-- @param path string
-- @param record table: {issuer, jwks, fetched = seconds since 1970, set = text}
-- @return true
-- @return nil, string
function _M.save(path, record)
    local temporary = path .. ".new"
    local file, err = io_open(temporary, "wb")
    if not file then
        return nil, "could not write " .. err
    end
    local written
    written, err = file:write(format(
        '{"format":%d,"issuer":%s,"jwks":%s,"fetched":%.0f,"set":%s}\n',
        FORMAT, quote(record.issuer), quote(record.jwks), record.fetched, quote(record.set)))
    -- A full disk can show at the close only.
    local closed, close_err = file:close()
    if not written or not closed then
        os_remove(temporary)
        return nil, "could not write " .. temporary .. ": " .. tostring(err or close_err)
    end
    local renamed
    renamed, err = os_rename(temporary, path)
    if not renamed then
        return nil, "could not rename " .. err
    end
    return true
end

--- Reads a set back.
-- @param path string
-- @param issuer string: whose set it must be
-- @param jwks string: the address that it must have come from
-- @return string, number: the set's text, and when it was fetched, in seconds since 1970
-- @return nil, nil: nothing was remembered of this issuer
-- @return nil, string: the file is there, but not usable
function _M.load(path, issuer, jwks)
    local file, err, errno = io_open(path, "rb")
    if not file then
        if errno == ENOENT then
            return nil, nil
        end
        return nil, "could not open " .. err
    end
    local text = file:read(MAX_BYTES)
    file:close()
    local record
    record, err = json.decode(text or "")
    if not json.is_object(record) then
        return nil, format("%s is not readable: %s", path, err or "no JSON object")
    elseif record.format ~= FORMAT or type(record.set) ~= "string"
        or type(record.fetched) ~= "number"
    then
        return nil, path .. " is not of a known format"
    elseif record.issuer ~= issuer or record.jwks ~= jwks then
        return nil, nil
    end
    return record.set, record.fetched
end

return _M
