--- What the rules would say of a request that the edge refuses, for the audit log alone: an
--- attack in a path that is not canonical, or with a method that no route has, is an attack, too.
--
-- The rules are those of the policy's defaults, for such a request has no route. Its body is not
-- read. No limit counts these requests, so there is a bound on how many are inspected.

local fields = require("bartizan.fields")
local inspection = require("bartizan.inspection")
local requests = require("bartizan.requests")

local floor = math.floor
local id_of = requests.id
local inspect = inspection.run
local match = string.match
local pcall = pcall
local read_fields = fields.read
local report = inspection.report
local tally = inspection.tally

local ngx_now = ngx.now

local _M = {
    --- So many a second in each worker.
    MOST = 200,
}

local MOST = _M.MOST
local rules
local second, count = 0, 0

-- 404 is left out: whoever looks for what is not there is told so, and no more.
local INSPECTED = { [400] = true, [405] = true }

--- Loads the rules of the defaults. Runs once, in the master.
-- @param folder string: of their compiled plan
-- @param shared table: what guards share
function _M.init(folder, shared)
    rules = inspection.load(folder, shared)
end

local function is_too_many()
    local now = floor(ngx_now())
    if now ~= second then
        second, count = now, 0
    end
    count = count + 1
    return count > MOST
end

local function source_of(request)
    local line = request.line or ""
    local method, target, protocol = match(line, "^(%S+) (.*) (HTTP/%d+%.%d+)$")
    if not method then
        return nil
    end
    if not request.path then
        -- It was refused before they were read.
        pcall(read_fields, request, protocol ~= "HTTP/2.0")
    end
    return {
        method = method,
        target = target,
        protocol = protocol,
        line = line,
        names = request.names,
        values = request.values,
        count = request.count,
        address = request.address,
        id_of = id_of,
        request = request,
    }
end

--- Inspects a request that is about to be refused.
-- @param request table: it gets `inspection` where some rule matched
-- @param status number: of the refusal
function _M.run(request, status)
    if not INSPECTED[status] or is_too_many() then
        return
    end
    local source = source_of(request)
    if not source then
        return
    end
    local found = inspect(rules, source, nil, false)
    tally(found)
    if #found.matches > 0 then
        request.inspection = report(rules, found)
    end
end

return _M
