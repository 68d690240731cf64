--- Writes a text as a JSON string. Bytes that are not UTF-8 stay: see text.printable.
--
--     local quote = require("bartizan.quote")
--     quote("a\nb")     --> the six characters "a\nb"

local cjson = require("cjson")

local encode = cjson.new().encode
local find = string.find
local gsub = string.gsub

return function(text)
    local quoted = encode(text)
    -- cjson escapes the slash, which no reader needs and no person wants.
    return find(quoted, "\\/", 1, true) and gsub(quoted, "\\/", "/") or quoted
end
