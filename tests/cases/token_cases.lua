--- Runs tokens through the pure verifier in any LuaJIT: `luajit token_cases.lua FILE`.
--
-- The file is made for one run, with fresh keys: {jwks = text, algorithms, types, issuer, audience,
-- scopes, skew, now, tokens = [{name, token}]}. One line a token: its name, a tab, and "accepted"
-- or "refused: " and the reason.

local claims = require("bartizan.jose.claims")
local json = require("bartizan.json")
local jws = require("bartizan.jose.jws")
local keyset = require("bartizan.jose.keyset")

local _M = {}

local function judge(token, run)
    local payload, err = jws.verify(run.verifier, token)
    if not payload then
        return err
    end
    local facts
    facts, err = claims.read(payload, run.issuer)
    if not facts then
        return err
    end
    err = claims.refusal(facts, run.now, run.skew)
    if err then
        return err
    elseif not facts.audiences[run.audience] then
        return "aud does not name this service"
    end
    for _, scope in ipairs(run.scopes) do
        if not facts.scopes[scope] then
            return "token lacks the scope " .. scope
        end
    end
    return nil
end

--- The outcome of each token of a run.
function _M.run(text)
    local run = assert(json.decode(text, json.OWN_FILE))
    local types = {}
    for _, typ in ipairs(run.types) do
        types[jws.normal_type(typ)] = true
    end
    run.verifier = jws.verifier(assert(keyset.parse(run.jwks, run.algorithms)), types)
    local lines = {}
    for i, case in ipairs(run.tokens) do
        local reason = judge(case.token, run)
        lines[i] = case.name .. "\t" .. (reason and "refused: " .. reason or "accepted")
    end
    return table.concat(lines, "\n") .. "\n"
end

if arg and arg[0] and arg[0]:find("token_cases.lua", 1, true) then
    local file = assert(io.open(arg[1], "rb"))
    io.write(_M.run(file:read("*a")))
    file:close()
end

return _M
