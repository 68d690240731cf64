-- The region between real processes: forked, killed, ended. Prints one line a case: its name and
-- "ok", or what was seen.

local ffi = require "ffi"
local region = require "bartizan.limits.region"

local C = ffi.C

ffi.cdef [[
int fork(void);
int waitpid(int pid, int *status, int options);
int kill(int pid, int signal);
int pipe(int *ends);
long read(int fd, void *bytes, size_t count);
long write(int fd, const void *bytes, size_t count);
void _exit(int code);
int pause(void);
]]

local SIGKILL = 9
local byte = ffi.new("char[1]")

-- Run a function in a child; come back when it is done. The child lives until it is killed.
local function child(work)
    local ends = ffi.new("int[2]")
    assert(C.pipe(ends) == 0)
    local pid = C.fork()
    if pid == 0 then
        local ok, err = pcall(work)
        if not ok then
            io.stderr:write(tostring(err), "\n")
            C._exit(1)
        end
        C.write(ends[1], "x", 1)
        while true do
            C.pause()
        end
    end
    assert(C.read(ends[0], byte, 1) == 1)
    return pid
end

local function kill(pid)
    assert(C.kill(pid, SIGKILL) == 0)
    assert(C.waitpid(pid, nil, 0) == pid)
end

local cases = {}

function cases.memory_is_shared_with_children()
    local own = region.new(4, 4)
    kill(child(function()
        region.at(own.address).memory.full = 7
    end))
    return own.memory.full == 7
end

function cases.the_lock_keeps_others_out_until_it_is_given_back()
    local own = region.new(4, 4)
    own:lock()
    local pid = C.fork()
    if pid == 0 then
        own:lock()
        own.memory.full = own.memory.full + 1
        own:unlock()
        C._exit(0)
    end
    -- However long the child has had, it is not in.
    for _ = 1, 1000000 do
        if own.memory.full ~= 0 then
            return "the child got in"
        end
    end
    own.memory.full = 10
    own:unlock()
    C.waitpid(pid, nil, 0)
    return own.memory.full == 11 and own.memory.recovered == 0
end

function cases.the_lock_of_a_killed_owner_is_taken_over()
    local own = region.new(4, 4)
    kill(child(function()
        own:lock()
    end))
    own:lock()
    own:unlock()
    own:lock()
    own:unlock()
    return own.memory.recovered == 1
end

function cases.the_lock_of_a_transaction_that_failed_is_taken_over()
    local own = region.new(4, 4)
    own:lock()
    own:lock()
    own:unlock()
    local taken = child(function()
        own:lock()
        own:unlock()
    end)
    kill(taken)
    return own.memory.recovered == 1
end

function cases.places_are_given_out_once_and_again_after_a_death()
    local own = region.new(4, 3)
    local pids = {}
    for i = 1, 3 do
        pids[i] = child(function()
            assert(region.at(own.address):join() == i - 1)
        end)
    end
    local place, err = own:join()
    assert(not place and err:find("3 workers live already", 1, true), err)
    assert(own:alive(0) and own:alive(1) and own:alive(2))
    kill(pids[2])
    assert(own:alive(0) and not own:alive(1) and own:alive(2))
    assert(not own:alive(1), "asking twice")
    assert(own:join() == 1)
    assert(own:alive(1))
    assert(own.memory.places_used == 3)
    kill(pids[1])
    kill(pids[3])
    return not own:alive(0) and not own:alive(2)
end

function cases.a_worker_that_ends_by_itself_is_dead()
    local own = region.new(4, 3)
    local pid = C.fork()
    if pid == 0 then
        own:join()
        C._exit(0)
    end
    C.waitpid(pid, nil, 0)
    return not own:alive(0)
end

function cases.who_comes_to_a_place_finds_its_column_clear_and_leaves_the_others()
    local own = region.new(4, 3)
    local rows = { own:new_slots(), own:new_slots() }
    kill(child(function()
        assert(own:join() == 0)
        own.workers[0].held = 5
        for _, row in ipairs(rows) do
            own.columns[row * own.width] = 5
            own.columns[row * own.width + 1] = 6
        end
    end))
    assert(own.columns[rows[1] * own.width] == 5)
    assert(own:join() == 0)
    for _, row in ipairs(rows) do
        assert(own.columns[row * own.width] == 0)
        assert(own.columns[row * own.width + 1] == 6)
    end
    return own.workers[0].held == 0
end

local function rows_are_given_out_once(make, free)
    local own = region.new(3, 2)
    local a, b, c = own[make](own), own[make](own), own[make](own)
    assert(a == 1 and b == 2 and c == 3)
    assert(own[make](own) == nil)
    own[free](own, b)
    own[free](own, a)
    assert(own[make](own) == a and own[make](own) == b)
    return own[make](own) == nil
end

function cases.buckets_are_given_out_once()
    return rows_are_given_out_once("new_bucket", "free_bucket")
end

function cases.slots_are_given_out_once()
    return rows_are_given_out_once("new_slots", "free_slots")
end

function cases.a_row_that_comes_back_is_empty()
    local own = region.new(2, 2)
    local bucket, slots = own:new_bucket(), own:new_slots()
    own.buckets[bucket] = 12345
    own.columns[slots * 2], own.columns[slots * 2 + 1] = 3, 4
    own:free_bucket(bucket)
    own:free_slots(slots)
    assert(own:new_bucket() == bucket and own:new_slots() == slots)
    return own.buckets[bucket] == 0 and own.columns[slots * 2] == 0
        and own.columns[slots * 2 + 1] == 0
end

function cases.the_tables_do_not_overlap()
    local own = region.new(5, 3)
    local function spread(value)
        own.memory.swept = value
        for place = 0, 2 do
            own.workers[place].held = value
        end
        for row = 1, 5 do
            own.buckets[row] = value
            own.next_slots[row] = value
            for place = 0, 2 do
                own.columns[row * 3 + place] = value
            end
        end
    end
    local function count(value)
        local found = own.memory.swept == value and 1 or 0
        for place = 0, 2 do
            found = found + (own.workers[place].held == value and 1 or 0)
        end
        for row = 1, 5 do
            found = found + (own.buckets[row] == value and 1 or 0)
            found = found + (own.next_slots[row] == value and 1 or 0)
            for place = 0, 2 do
                found = found + (own.columns[row * 3 + place] == value and 1 or 0)
            end
        end
        return found
    end
    spread(77)
    assert(count(77) == 1 + 3 + 5 * 5)
    assert(own:join() == 0)
    own:lock()
    own:unlock()
    -- The place that was joined is clear now, and nothing else was touched.
    return count(77) == 1 + 2 + 5 * 5
end

local names = {}
for name in pairs(cases) do
    names[#names + 1] = name
end
table.sort(names)
for _, name in ipairs(names) do
    local ok, result = pcall(cases[name])
    print(name, ok and result == true and "ok" or tostring(result))
end
