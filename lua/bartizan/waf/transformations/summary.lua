--- Transformations that put something short in the place of a text: its length, a hash of it.

local classes = require("bartizan.waf.classes")
local crypto = require("bartizan.jose.crypto")

local tostring = tostring

return {
    -- Description: the length of the text in bytes, as a decimal number.
    -- Example: "ABCDE" gives "5".
    length = {
        changes = classes.ALL,
        apply = function(s)
            return tostring(#s)
        end,
    },

    -- Description: the MD5 hash of the text: 16 bytes.
    -- Example: of the empty text "d41d8cd98f00b204e9800998ecf8427e", in hexEncode's form.
    md5 = { changes = classes.ALL, apply = crypto.hash("MD5") },

    -- Description: the SHA-1 hash of the text: 20 bytes.
    -- Example: of the empty text "da39a3ee5e6b4b0d3255bfef95601890afd80709", in hexEncode's form.
    sha1 = { changes = classes.ALL, apply = crypto.hash("SHA1") },
}
