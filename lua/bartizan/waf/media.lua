--- Which processor reads a body, by its Content-Type: what ModSecurity itself and the rules of its
--- recommended configuration (200000, 200001, 200006) choose.

local find = string.find
local lower = string.lower
local sub = string.sub

local _M = {}

local function begins(text, prefix)
    return sub(text, 1, #prefix) == prefix
end

-- application/NAME+json, where +json is part of the type and not of a parameter.
local function has_json_suffix(media)
    local plus = find(media, "+json", 14, true)
    if not plus or not begins(media, "application/") then
        return false
    end
    local parameters = find(media, ";", 1, true)
    return not parameters or plus < parameters
end

--- Chooses by the value of a Content-Type field.
-- @return string: "URLENCODED", "JSON", "XML" or "MULTIPART"
-- @return nil: no processor knows the type
function _M.processor(value)
    local media = lower(value)
    if begins(media, "application/x-www-form-urlencoded") then
        return "URLENCODED"
    elseif begins(media, "application/json") or has_json_suffix(media) then
        return "JSON"
    elseif begins(media, "multipart/form-data") then
        return "MULTIPART"
    elseif begins(media, "text/xml") or begins(media, "application/xml")
        or begins(media, "application/soap+xml")
    then
        return "XML"
    end
    return nil
end

--- Whether a body with this Content-Encoding is what it looks like (RFC 9110 section 8.4.1).
function _M.is_identity(encoding)
    return encoding == "" or lower(encoding) == "identity"
end

return _M
