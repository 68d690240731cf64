--- Text of clients, made fit to be written down: valid UTF-8 whatever the bytes.

local utf8 = require("bartizan.utf8")

local byte = string.byte
local concat = table.concat
local find = string.find
local format = string.format
local skip_utf8 = utf8.skip
local sub = string.sub

local _M = {}

--- Makes a text valid UTF-8: what is not is shown as \xNN.
-- @param text string
-- @param bound number: at most so many bytes of it; "..." stands for what is cut off
function _M.printable(text, bound)
    local cut = #text > bound
    if cut then
        text = sub(text, 1, bound)
    end
    if find(text, "[\128-\255]") then
        local out, n, position = {}, 0, 1
        while position <= #text do
            local b = byte(text, position)
            local after = b < 0x80 and position + 1 or skip_utf8(text, position, b)
            n = n + 1
            if after then
                out[n] = sub(text, position, after - 1)
            else
                out[n] = format("\\x%02x", b)
                after = position + 1
            end
            position = after
        end
        text = concat(out)
    end
    return cut and text .. "..." or text
end

return _M
