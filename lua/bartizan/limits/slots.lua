-- The concurrency limit's arithmetic: how many requests of a key are inside, over all workers.
--
-- A key has a row with a column for each worker. A request adds to its own worker's column, and
-- enters if the columns together stay within the limit: they are read and written in one
-- transaction, so never one too many. It leaves by taking from that same column, which no other
-- worker writes. What a killed worker held counts until somebody would be refused because of it;
-- then the columns of the dead are found and cleared.

local _M = {}

--- How many are inside. May count what a dead worker held.
local function sum(store, row)
    local total = 0
    for place = 0, store:places() - 1 do
        total = total + store:column(row, place)
    end
    return total
end

--- Clear the columns of the dead. Called within a transaction.
-- @return how many are inside
local function reap(store, row)
    local total = 0
    for place = 0, store:places() - 1 do
        local count = store:column(row, place)
        if count ~= 0 then
            if store:alive(place) then
                total = total + count
            else
                store:clear_column(row, place)
            end
        end
    end
    return total
end

--- Enter, if fewer than the limit are inside.
-- @param store the store (store.lua says what it offers)
-- @param key what is limited
-- @param limit how many may be inside at once; math.huge only counts
-- @return the row to leave again, and how many are inside now;
--     nil and "refused"; nil and "full" if the store has no room
function _M.enter(store, key, limit)
    store:begin()
    local row = store:find(key) or store:new_slots(key)
    if not row then
        store:finish()
        return nil, "full"
    end
    local total = sum(store, row)
    if total >= limit then
        total = reap(store, row)
        if total >= limit then
            store:finish()
            return nil, "refused"
        end
    end
    store:change(row, 1)
    store:finish()
    return row, total + 1
end

--- Leave, once for each time that this worker entered. The row may be another's from then on.
function _M.leave(store, row)
    store:change(row, -1)
end

--- How many are inside.
function _M.inside(store, key)
    local row = store:find(key)
    if not row or sum(store, row) == 0 then
        return 0
    end
    store:begin()
    row = store:find(key)
    local total = row and reap(store, row) or 0
    store:finish()
    return total
end

_M.reap = reap

return _M
