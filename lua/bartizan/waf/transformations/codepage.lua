--- Code page 20127 (US-ASCII): which byte Microsoft's servers make of a code point.
--
-- Source of the facts: `unicode.mapping`, section "20127 (US-ASCII)", as Debian's package
-- libnginx-mod-http-modsecurity has it, which the recommended configuration of ModSecurity names in
-- `SecUnicodeMapFile unicode.mapping 20127`.

local ffi = require("ffi")

local band = require("bit").band
local byte = string.byte
local ffi_new = ffi.new
local gmatch = string.gmatch
local pairs = pairs
local tonumber = tonumber

-- Full-width ASCII (FF01 to FF5E, each to the ASCII it shows) is reckoned below.
local MAPPED = {
    [" "] = "00a0 2000-2006",
    ["!"] = "00a1",
    ['"'] = "02ba 030e 201c-201e",
    ["$"] = "00a4",
    ["'"] = "02b9 02bc 02c8 2018 2019 2032",
    [","] = "00b8 201a",
    ["-"] = "00ad 2010 2011 2013 2014",
    ["."] = "00b7 2022 2026",
    ["1"] = "00b9",
    ["2"] = "00b2",
    ["3"] = "00b3",
    ["<"] = "00ab 2039",
    [">"] = "00bb 203a",
    ["A"] = "00c0-00c6 0100 0102 0104 01cd 01de",
    ["C"] = "00a9 00c7 0106 0108 010a 010c",
    ["D"] = "00d0 010e 0110 0189",
    ["E"] = "00c8-00cb 0112 0114 0116 0118 011a",
    ["F"] = "0191",
    ["G"] = "011c 011e 0120 0122 01e4 01e6",
    ["H"] = "0124 0126",
    ["I"] = "00cc-00cf 0128 012a 012c 012e 0130 0197 01cf",
    ["J"] = "0134",
    ["K"] = "0136 01e8",
    ["L"] = "0139 013b 013d 0141",
    ["N"] = "00d1 0143 0145 0147",
    ["O"] = "00d2-00d6 00d8 014c 014e 0150 0152 019f 01a0 01d1 01ea 01ec",
    ["R"] = "00ae 0154 0156 0158",
    ["S"] = "015a 015c 015e 0160",
    ["T"] = "0162 0164 0166 01ae 2122",
    ["U"] = "00d9-00dc 0168 016a 016c 016e 0170 0172 01af 01d3 01d5 01d7 01d9 01db",
    ["W"] = "0174",
    ["Y"] = "00a5 00dd 0176 0178",
    ["Z"] = "0179 017b 017d",
    ["^"] = "02c4 02c6 0302",
    ["_"] = "02cd 0331 0332",
    ["`"] = "02cb 0300 2035",
    ["a"] = "00aa 00e0-00e6 0101 0103 0105 01ce 01df",
    ["b"] = "0180",
    ["c"] = "00a2 00e7 0107 0109 010b 010d",
    ["d"] = "010f 0111",
    ["e"] = "00e8-00eb 0113 0115 0117 0119 011b",
    ["f"] = "0192",
    ["g"] = "011d 011f 0121 0123 01e5 01e7 0261",
    ["h"] = "0125 0127",
    ["i"] = "00ec-00ef 0129 012b 012d 012f 0131 01d0",
    ["j"] = "0135 01f0",
    ["k"] = "0137 01e9",
    ["l"] = "013a 013c 013e 0142 019a",
    ["n"] = "00f1 0144 0146 0148",
    ["o"] = "00ba 00f2-00f6 00f8 014d 014f 0151 0153 01a1 01d2 01eb 01ed",
    ["r"] = "0155 0157 0159",
    ["s"] = "015b 015d 015f 0161",
    ["t"] = "0163 0165 0167 01ab",
    ["u"] = "00f9-00fc 0169 016b 016d 016f 0171 0173 01b0 01d4 01d6 01d8 01da 01dc",
    ["w"] = "0175",
    ["y"] = "00fd 00ff 0177",
    ["z"] = "017c 017e 01b6",
    ["|"] = "00a6",
    ["~"] = "02dc 0303",
}

local _M = {}

local LAST = 0x2122
local MAP = ffi_new("uint8_t[?]", LAST + 1)
for letter, codes in pairs(MAPPED) do
    for first, last in gmatch(codes, "(%x+)%-?(%x*)") do
        for code = tonumber(first, 16), tonumber(last == "" and first or last, 16) do
            MAP[code] = byte(letter)
        end
    end
end

--- Returns the byte for a code point.
-- @param code number: from 0 to 0xFFFF
-- @return number: what the code page says; for full-width ASCII, ASCII; for any other the low byte
function _M.byte_of(code)
    if code <= LAST then
        local mapped = MAP[code]
        if mapped ~= 0 then
            return mapped
        end
    elseif code >= 0xFF01 and code <= 0xFF5E then
        return code - 0xFEE0
    end
    return band(code, 0xFF)
end

return _M
