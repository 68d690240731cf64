-- The keys of the limits' store.
--
--     <route>r<period>|<subject>     a bucket
--     <route>c|<subject>             how many are inside
--     <route>w|<subject>             how many wait to get inside
--
-- <route> is the route's identity, 8 hexadecimal digits that a reload keeps; limits that a reload
-- changed find what was counted before. <subject> is what is limited: a<address>, c<client> or
-- h<name>=<value>, and C<address> or H<name>=<address> for a request without client or header. It
-- comes last: whatever bytes it has, they are not taken for another part. So a route has one rate
-- for a subject and period, and one concurrency for a subject; `bartizan check` sees to that.
--
-- Keys are short: the dict's checksum of a key is most of what a look-up costs (6 ns a byte).

local match = string.match

local _M = {}

--- What a key's row is.
-- @return "bucket", "slots", or nil: no key of the limits
function _M.kind(key)
    local kind = match(key, "^%x%x%x%x%x%x%x%x([rcw])")
    if kind == "r" then
        return "bucket"
    end
    return kind and "slots"
end

return _M
