--- SecLang's transformations, by name, and the chains that rules make of them.
--
-- What each means is said by the ModSecurity Reference Manual, v3.x, section "Transformation
-- functions"; where that says nothing, libmodsecurity 3.0.9 decides. Each file of transformations/
-- returns a table of `name = { apply = function(s) → s', changes = mask }`, where `changes` has the
-- classes of bytes (see classes.lua) without which `apply` leaves a text as it is.
-- All take any bytes, raise no error, and take time in proportion to the length.

local bit = require("bit")
local classes = require("bartizan.waf.classes")

local band = bit.band
local bor = bit.bor
local error = error
local ipairs = ipairs
local lower = string.lower
local of = classes.of
local pairs = pairs
local require = require
local tostring = tostring

local FILES = {
    "base64", "command", "comments", "entities", "escapes", "hex", "mapping", "path", "space",
    "summary", "unicode", "url",
}

local _M = {}

-- Names are found without regard to case, as in libmodsecurity.
local by_name = {}

for _, file in ipairs(FILES) do
    for name, transformation in pairs(require("bartizan.waf.transformations." .. file)) do
        _M[name] = transformation
        by_name[lower(name)] = transformation
    end
end

-- Description: no transformation, but an instruction: none of those named before it.
_M.none = {
    changes = 0,
    apply = function(s)
        return s
    end,
}

--- Makes a chain of transformations, at load.
-- @param names array: SecLang's names, in the order in which they apply
-- @return table: for `run` and `steps`; raises a sentence that names what is unknown
function _M.chain(names)
    local chain = { n = 0, changes = 0 }
    for _, name in ipairs(names) do
        local key = lower(tostring(name))
        if key == "none" then
            chain = { n = 0, changes = 0 }
        else
            local transformation = by_name[key]
            if not transformation then
                error('there is no transformation "' .. tostring(name) .. '"', 0)
            end
            chain.n = chain.n + 1
            chain[chain.n] = transformation
            chain.changes = bor(chain.changes, transformation.changes)
        end
    end
    return chain
end

--- Applies a chain. What cannot change the text is not run.
-- @param chain table: of `chain`
-- @param s string
-- @param mask number: classes.of(s)
-- @return string
function _M.run(chain, s, mask)
    if band(mask, chain.changes) == 0 then
        return s
    end
    local n = chain.n
    for i = 1, n do
        local transformation = chain[i]
        if band(mask, transformation.changes) ~= 0 then
            local changed = transformation.apply(s)
            if changed ~= s then
                s = changed
                if i < n then
                    mask = of(s)
                end
            end
        end
    end
    return s
end

--- Applies a chain as multiMatch does, which asks its operator before, between and after.
-- @param chain table: of `chain`
-- @param s string
-- @param mask number: classes.of(s)
-- @return array: the text and each form that a transformation made of it, in order, none twice
function _M.steps(chain, s, mask)
    local forms, seen = { s }, { [s] = true }
    if band(mask, chain.changes) == 0 then
        return forms
    end
    for i = 1, chain.n do
        local transformation = chain[i]
        if band(mask, transformation.changes) ~= 0 then
            local changed = transformation.apply(s)
            if changed ~= s then
                s = changed
                mask = of(s)
                if not seen[s] then
                    seen[s] = true
                    forms[#forms + 1] = s
                end
            end
        end
    end
    return forms
end

return _M
