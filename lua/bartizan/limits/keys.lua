-- The keys of the limits' store.
--
--     <route>r<settings>|<subject>     a bucket
--     <route>c<settings>|<subject>     how many are inside
--     <route>w<settings>|<subject>     how many wait to get inside
--
-- <route> is the route's identity, 8 hexadecimal digits that a reload keeps. <settings> keeps apart
-- the guards of one kind on one route. <subject> is what is limited: a<address>, c<client> or
-- h<value>, so that a header which says "10.0.0.1" is not the address 10.0.0.1. It comes last:
-- whatever bytes it has, they are not taken for another part.
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
