--- /metrics: the counts of all workers as Prometheus text (exposition format 0.0.4).
--
-- The text is made in pieces, between which other requests of this worker get their turn.

local limits = require("bartizan.limits.store")
local metrics = require("bartizan.metrics")
local worker = require("bartizan.worker")

local concat = table.concat
local format = string.format
local gsub = string.gsub
local ipairs = ipairs
local pairs = pairs
local sort = table.sort
local tostring = tostring

local ngx = ngx
local ngx_print = ngx.print
local ngx_sleep = ngx.sleep
local ngx_time = ngx.time
local var = ngx.var

local _M = {}

local SLOTS_A_PIECE = 10

local settings, issuers, limits_dict

local LIMITS = {
    { "held", "bartizan_concurrency_held", "gauge", "Requests inside a concurrency limit." },
    { "waiting", "bartizan_concurrency_waiting", "gauge", "Requests in line for one." },
    { "full", "bartizan_limits_full_total", "counter",
      "Times that the limits' store had no room for one more." },
    { "flushed", "bartizan_limits_flushed_total", "counter",
      "Entries of the limits' store that were let go, for nothing was lost by it." },
    { "reaped", "bartizan_limits_reaped_total", "counter",
      "Times that something was given back which a killed worker had held." },
    { "recovered", "bartizan_limits_recovered_total", "counter",
      "Times that the limits' lock was taken over from a killed worker." },
}

--- Notes what there is to show. Runs once, in the master.
function _M.init(loaded, shared)
    settings, issuers, limits_dict = loaded, shared.issuers, shared.limits
end

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function label(value)
    return '"' .. gsub(value, '[\\"\n]', ESCAPES) .. '"'
end

-- A family's head, and its samples: {labels, value} each.
local function family(out, name, kind, help, samples)
    out[#out + 1] = "# HELP " .. name .. " " .. help .. "\n# TYPE " .. name .. " " .. kind .. "\n"
    for _, sample in ipairs(samples) do
        out[#out + 1] = name .. sample[1] .. " " .. tostring(sample[2]) .. "\n"
    end
end

local function flush(out)
    ngx_print(concat(out))
    ngx_sleep(0)
end

-- Requests and durations, slot by slot. Samples of one family must stand together, so the slots
-- are gone through twice.
local function write_requests()
    local name = "bartizan_requests_total"
    local out = { "# HELP " .. name .. " Requests by route and status class.\n# TYPE " .. name
        .. " counter\n" }
    local read = {}
    for index = 1, metrics.slot_count() do
        local slot = metrics.read_slot(index)
        if slot then
            read[#read + 1] = slot
            for class = 0, 5 do
                out[#out + 1] = format('%s{route=%s,status="%s"} %d\n', name, label(slot.name),
                                       metrics.CLASSES[class], slot.classes[class])
            end
        end
        if index % SLOTS_A_PIECE == 0 then
            flush(out)
            out = {}
        end
    end
    flush(out)
    return read
end

local function write_durations(read)
    local name = "bartizan_request_duration_seconds"
    local out = { "# HELP " .. name .. " Time from a request's first byte to the end of its answer."
        .. "\n# TYPE " .. name .. " histogram\n" }
    for i, slot in ipairs(read) do
        local route = label(slot.name)
        for bucket, count in ipairs(slot.buckets) do
            local bound = metrics.BOUNDS[bucket]
            out[#out + 1] = format('%s_bucket{route=%s,le="%s"} %d\n', name, route,
                                   bound and tostring(bound) or "+Inf", count)
        end
        out[#out + 1] = format("%s_sum{route=%s} %.6f\n", name, route, slot.sum)
        out[#out + 1] = format("%s_count{route=%s} %d\n", name, route, slot.count)
        if i % SLOTS_A_PIECE == 0 then
            flush(out)
            out = {}
        end
    end
    flush(out)
end

-- The samples of one key of the store, where it is one of those with a family below.
local function read_inspections(key, bodies, matches)
    local complete, why = key:match("^waf_body|([^|]*)|([^|]*)$")
    if complete then
        bodies[#bodies + 1] = { format('{body="%s",why="%s"}', complete, why),
                                metrics.get(key) or 0 }
        return
    end
    local rule = key:match("^waf_match|(%d+)$")
    if rule then
        matches[#matches + 1] = { format('{rule="%s"}', rule), metrics.get(key) or 0 }
    end
end

local function write_named()
    local verdicts, events, bodies, matches = {}, {}, {}, {}
    local keys = metrics.keys()
    sort(keys)
    for _, key in ipairs(keys) do
        local guard, mode, decision, code, route =
            key:match("^verdict|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)$")
        if guard then
            local name = metrics.slot_name(route)
            if name then
                verdicts[#verdicts + 1] = {
                    format('{guard="%s",mode="%s",decision="%s",code="%s",route=%s}',
                           guard, mode, decision, code, label(name)),
                    metrics.get(key) or 0,
                }
            end
        else
            local event = key:match("^event|(.+)$")
            if event then
                events[#events + 1] = { format('{event="%s"}', event), metrics.get(key) or 0 }
            else
                read_inspections(key, bodies, matches)
            end
        end
    end
    local out = {}
    family(out, "bartizan_verdicts_total", "counter",
           "Decisions by guard, mode, decision, code and route.", verdicts)
    family(out, "bartizan_events_total", "counter",
           "What should not happen often: full stores, counts that were lost.", events)
    family(out, "bartizan_waf_requests_total", "counter",
           "Requests that the rule engine inspected, by how much of their body.", bodies)
    family(out, "bartizan_waf_matches_total", "counter",
           "Matches of rules, whatever became of the request.", matches)
    flush(out)
end

local function store_samples()
    local capacity, free = {}, {}
    for _, name in ipairs({ "keys", "limits", "metrics", "workers" }) do
        local store = ngx.shared["bartizan_" .. name]
        local labels = '{store="' .. name .. '"}'
        capacity[#capacity + 1] = { labels, store:capacity() }
        free[#free + 1] = { labels, store:free_space() }
    end
    return capacity, free
end

local function key_set_samples()
    local ages, keys, names = {}, {}, {}
    for name in pairs(issuers) do
        names[#names + 1] = name
    end
    sort(names)
    for _, name in ipairs(names) do
        local issuer = issuers[name]
        issuer:pick_up()            -- what another worker may have fetched since
        local status = issuer:status()
        local labels = '{issuer="' .. name .. '"}'
        keys[#keys + 1] = { labels, status.keys }
        if status.age then
            ages[#ages + 1] = { labels, format("%.3f", status.age) }
        end
    end
    return ages, keys
end

local function write_gauges()
    local out = {}
    local capacity, free = store_samples()
    family(out, "bartizan_store_capacity_bytes", "gauge", "Size of a shared store.", capacity)
    family(out, "bartizan_store_free_bytes", "gauge",
           "Pages of a shared store that hold nothing yet.", free)
    local ages, keys = key_set_samples()
    family(out, "bartizan_key_set_age_seconds", "gauge",
           "Time since an issuer's key set was last fetched.", ages)
    family(out, "bartizan_key_set_keys", "gauge", "Keys in an issuer's key set.", keys)
    family(out, "bartizan_certificate_expiry_seconds", "gauge",
           "Time until the certificate that clients see expires.",
           settings.certificate and {
               { "", settings.certificate.not_after - ngx_time() },
           } or {})
    local connections = {}
    for _, state in ipairs({ "active", "reading", "writing", "waiting" }) do
        connections[#connections + 1] = {
            '{state="' .. state .. '"}', var["connections_" .. state] or 0,
        }
    end
    family(out, "bartizan_connections", "gauge", "Connections of clients, by state.", connections)
    local serving, wanted = worker.serving()
    family(out, "bartizan_workers", "gauge", "Worker processes of this generation.",
           { { '{state="serving"}', serving }, { '{state="wanted"}', wanted } })
    family(out, "bartizan_build_info", "gauge", "What runs.", { {
        format('{version=%s,generation=%s,nginx="%s",ngx_lua="%d"}', label(settings.version),
               label(settings.generation), var.nginx_version, ngx.config.ngx_lua_version), 1,
    } })
    flush(out)
end

local function write_limits()
    local out = {}
    local stats = limits.stats(limits_dict)
    for _, line in ipairs(LIMITS) do
        local field, name, kind, help = line[1], line[2], line[3], line[4]
        -- No samples where no route has a limit.
        family(out, name, kind, help, stats and { { "", stats[field] } } or {})
    end
    flush(out)
end

--- Answers a scrape.
function _M.run()
    ngx.header["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
    metrics.flush()
    write_durations(write_requests())
    write_named()
    write_gauges()
    write_limits()
end

return _M
