--- Finds the route of a request; deny by default.
--
-- The most specific path decides, whatever the method: routes of the request's host before routes
-- of any host, an exact path before a prefix, a longer prefix before a shorter one. Only then is
-- the method looked up, so a request never falls through to a broader route with other guards.
--
-- Exact paths are one hash lookup. Prefixes are a tree of segments, walked no deeper than some
-- route goes, so the cost is the same for 10 or 10,000 routes and for the longest path.
--
-- A service may take "/admin;x" for "/admin" (RFC 3986 section 3.3: parameters of a segment) or for
-- a name of its own. Both readings must lead to the same routes; if not, no route covers the path.
--
-- That GET implies HEAD was settled when the policy was resolved: `methods` holds both.
--
--     local router = router.new(routes)          -- {hosts, match, path, methods} each
--     local route, allow = router.match(router, "api.example.com", "/api/users/7", "GET")

local concat = table.concat
local error = error
local find = string.find
local format = string.format
local gmatch = string.gmatch
local gsub = string.gsub
local ipairs = ipairs
local pairs = pairs
local sort = table.sort
local sub = string.sub

local _M = {}

local function new_site()
    return { exact = {}, root = { children = {}, entry = nil } }
end

-- The routes that share a path: by method, with the value of the Allow header.
local function add(entry, route)
    entry = entry or { methods = {}, allow = "" }
    for _, method in ipairs(route.methods) do
        if entry.methods[method] then
            error(format("two routes for %s %s", method, route.path), 0)
        end
        entry.methods[method] = route
    end
    return entry
end

local function add_to_site(site, route)
    if route.match == "exact" then
        site.exact[route.path] = add(site.exact[route.path], route)
        return
    end
    local node = site.root
    for segment in gmatch(route.path, "[^/]+") do
        local child = node.children[segment]
        if not child then
            child = { children = {}, entry = nil }
            node.children[segment] = child
        end
        node = child
    end
    node.entry = add(node.entry, route)
end

local function seal(entry)
    local methods = {}
    for method in pairs(entry.methods) do
        methods[#methods + 1] = method
    end
    sort(methods)
    entry.allow = concat(methods, ", ")
end

local function seal_tree(node)
    if node.entry then
        seal(node.entry)
    end
    for _, child in pairs(node.children) do
        seal_tree(child)
    end
end

local function seal_site(site)
    for _, entry in pairs(site.exact) do
        seal(entry)
    end
    seal_tree(site.root)
end

--- Builds a router.
-- @param routes table: an array of routes; `path` canonical, `hosts` lower case, {} for any host
-- @return table: the router
-- Raises a string where two routes take the same requests.
function _M.new(routes)
    local router = { hosts = {}, any = new_site() }
    for _, route in ipairs(routes) do
        if #route.hosts == 0 then
            add_to_site(router.any, route)
        end
        for _, host in ipairs(route.hosts) do
            router.hosts[host] = router.hosts[host] or new_site()
            add_to_site(router.hosts[host], route)
        end
    end
    seal_site(router.any)
    for _, site in pairs(router.hosts) do
        seal_site(site)
    end
    return router
end

-- Returns the entry of the most specific path that covers `path`, or nil.
local function look_up(site, path)
    local entry = site.exact[path]
    if entry then
        return entry
    end
    local node = site.root
    local best = node.entry
    local start = 2
    while true do
        local slash = find(path, "/", start, true)
        node = node.children[sub(path, start, (slash or 0) - 1)]
        if not node then
            return best
        end
        best = node.entry or best
        if not slash then
            return best
        end
        start = slash + 1
    end
end

local function find_entry(router, host, path)
    local site = router.hosts[host]
    return site and look_up(site, path) or look_up(router.any, path)
end

--- Finds the route of a request.
-- @param router table: from new
-- @param host string: lower case, without the port
-- @param path string: canonical
-- @param method string
-- @return table: the route
-- @return nil, string: the path is known, the method is not: the value of Allow
-- @return nil, nil: no route covers the path
function _M.match(router, host, path, method)
    local entry = find_entry(router, host, path)
    if not entry
        or find(path, ";", 1, true)
        and find_entry(router, host, (gsub(path, ";[^/]*", ""))) ~= entry
    then
        return nil, nil
    end
    local route = entry.methods[method]
    if route then
        return route
    end
    return nil, entry.allow
end

return _M
