--- The rendered settings: edge.json, read once in the master, shared by all workers.

local json = require("bartizan.json")

local error = error
local format = string.format
local io_open = io.open
local ipairs = ipairs
local pairs = pairs
local type = type

local _M = {
    --- What this code understands; the renderer writes the same number.
    FORMAT = 1,
}

-- json.null becomes nil: an absent setting and a null one mean the same.
local function without_nulls(value)
    if type(value) ~= "table" then
        return value
    end
    for key, item in pairs(value) do
        if item == json.null then
            value[key] = nil
        else
            without_nulls(item)
        end
    end
    return value
end

--- Reads the settings.
-- @param path string
-- @return table: as rendered, with each route's `plan` index left to the caller
-- Raises a string that names the file and what is wrong with it.
function _M.load(path)
    local file, err = io_open(path, "rb")
    if not file then
        error("could not open the rendered settings: " .. err, 0)
    end
    local text = file:read("*a")
    file:close()
    local settings
    settings, err = json.decode(text, json.OWN_FILE)
    if not json.is_object(settings) then
        error(format("%s: not readable as JSON: %s", path, err or "not an object"), 0)
    elseif settings.format ~= _M.FORMAT then
        error(format("%s: format %s, but this edge reads format %d: render again",
                     path, tostring(settings.format), _M.FORMAT), 0)
    end
    without_nulls(settings)
    for _, name in ipairs({ "generation", "origin", "issuers", "plans", "routes" }) do
        if settings[name] == nil then
            error(format("%s: %s is missing", path, name), 0)
        end
    end
    return settings
end

return _M
