-- What a budget has left and who holds how much of it. The twin of ledger.rs, which says why: a test plays random calls
-- to both and compares every answer. Numbers are integers below 2^53, which is what a number holds exactly here.
--
-- KEYS: the budget; the marker of this Redis (see hello.lua).
-- ARGV: as `Call::arguments` writes them.
local budget, marker = KEYS[1], KEYS[2]
local now, node, seq = tonumber(ARGV[1]), 'n' .. ARGV[2], tonumber(ARGV[3])
local held, returned = tonumber(ARGV[4]), tonumber(ARGV[5])
local need, wanted, strict = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] == '1'
local told, told_version, told_forced, told_end = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11] == '1', tonumber(ARGV[12])
local own_uses, lease, closed = tonumber(ARGV[13]), tonumber(ARGV[14]), ARGV[15] == '1'
local kind, size, max, shift = ARGV[16], tonumber(ARGV[17]), tonumber(ARGV[18]), tonumber(ARGV[19])
local told_born = tonumber(ARGV[20])
local SLOTS = 50
local DAY = 24 * 3600 * 1000000

if now == 0 then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end

local function text(number)
    return string.format('%.0f', number)
end

-- What is stored.
local stored = redis.call('HGETALL', budget)
local is_new = #stored == 0
local born, version, debt, at, period_end, used = now, 0, 0, 0, 0, 0
local slots, leases = {}, {}
for i = 1, #stored, 2 do
    local field, value = stored[i], stored[i + 1]
    local first = string.sub(field, 1, 1)
    if first == 'n' then
        local amount, expiry, last = string.match(value, '(%d+) (%d+) (%d+)')
        leases[field] = { amount = tonumber(amount), expiry = tonumber(expiry), seq = tonumber(last) }
    elseif first == 's' then
        slots[#slots + 1] = { slot = tonumber(string.sub(field, 2)), count = tonumber(value), stored = true }
    elseif field == 'b' then
        born = tonumber(value)
    elseif field == 'v' then
        version = tonumber(value)
    elseif field == 'd' then
        debt = tonumber(value)
    elseif field == 't' then
        at = tonumber(value)
    elseif field == 'e' then
        period_end = tonumber(value)
    elseif field == 'u' then
        used = tonumber(value)
    end
end
table.sort(slots, function(a, b) return a.slot < b.slot end)

local own = leases[node]
if own and seq > 0 and own.seq >= seq then
    return { -1, 0, 0, 0, 0, 0, 0, 0, 0 } -- overtaken: whoever sent it has given up on it
end

local function civil_end(day)
    local shifted = day + 719468
    local era = math.floor(shifted / 146097)
    local of_era = shifted % 146097
    local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524) - math.floor(of_era / 146096)) / 365)
    local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
    local month = math.floor((5 * of_year + 2) / 153) -- from March on
    -- The first of the next month, which is in the same year of March unless this one is February.
    local next_year, next_month = year + era * 400, month + 1
    if next_month == 12 then next_year, next_month = next_year + 1, 0 end
    local next_era, next_of_era = math.floor(next_year / 400), next_year % 400
    local next_of_year = math.floor((153 * next_month + 2) / 5)
    return (next_era * 146097 + next_of_era * 365 + math.floor(next_of_era / 4) - math.floor(next_of_era / 100) + next_of_year - 719468) * DAY
end

-- The three ways to count, with the same verbs: let time pass, note what was spent, raise what is taken to a number, doubt
-- what is not known, say what is left and what is taken, and how long until there is one more, until there is all, and until
-- all may be forgotten. What is held is taken, too.
local pass, settle, raise, doubt, available, taken, again, full, life
local charge = function() end

if kind == 'b' then
    local interval, scale, empty = size, 2 ^ shift, size * max
    local function micros(ticks) return math.ceil(ticks / scale) end
    pass = function()
        debt = math.max(0, debt - math.max(0, now - at) * scale)
        at = math.max(at, now)
    end
    settle = function(before, _, back, after)
        debt = math.max(math.max(debt, before * interval) - back * interval, after * interval)
    end
    raise = function(to) debt = math.max(debt, math.min(to, empty)) end
    doubt = function(until_then) debt, at = empty, until_then end
    available = function(holding)
        return math.floor(math.max(0, empty - math.max(debt, holding * interval)) / interval)
    end
    charge = function(tokens, holding) debt = math.max(debt, holding * interval) + tokens * interval end
    taken = function() return debt end
    again = function() return micros(math.max(0, debt + interval - empty)) end
    full = function() return micros(debt) end
    life = function(holding) return micros(debt + holding * interval) end
elseif kind == 'w' then
    local function count(when, uses)
        if uses == 0 then return end
        local slot, newest = math.floor(when / size), slots[#slots]
        if newest and newest.slot >= slot then
            newest.count = newest.count + uses
        else
            slots[#slots + 1] = { slot = slot, count = uses }
        end
    end
    taken = function(holding)
        local sum = holding
        for _, each in ipairs(slots) do sum = sum + each.count end
        return sum
    end
    local function leaves(each) return each and math.max(0, (each.slot + SLOTS + 1) * size - now) or 0 end
    pass = function()
        while slots[1] and slots[1].slot + SLOTS < math.floor(now / size) do
            if slots[1].stored then redis.call('HDEL', budget, 's' .. text(slots[1].slot)) end
            table.remove(slots, 1)
        end
    end
    settle = function(_, spent) count(now, spent) end
    raise = function(to, holding) count(now, math.max(0, math.min(to, max) - taken(holding))) end
    doubt = function(until_then) count(until_then, max) end
    available = function(holding) return math.max(0, max - taken(holding)) end
    if strict then charge = function(tokens) count(now, tokens) end end
    again = function() return leaves(slots[1]) end
    full = function() return leaves(slots[#slots]) end
    life = function(holding) return full() + (holding > 0 and (SLOTS + 1) * size or 0) end
else
    pass = function()
        if now >= period_end then
            local day = math.floor(now / DAY)
            period_end = kind == 'd' and (day + 1) * DAY or civil_end(day)
            used = 0
        end
    end
    settle = function(_, spent) used = used + spent + own_uses end
    raise = function(to, holding) if told_end == period_end then used = math.max(used, to - holding) end end
    available = function(holding) return math.max(0, max - used - holding) end
    if strict then charge = function(tokens) used = used + tokens end end
    taken = function(holding) return used + holding end
    again = function() return period_end - now end
    full = again
    life = function(holding) return period_end - now + (holding > 0 and 31 * DAY or 0) end
end

-- A budget that is not there has all it may have, unless everything was lost and this one must never have too much. Then
-- it has nothing until every lease from before is over.
if is_new and closed and doubt then
    local lost = redis.call('HGET', marker, 'l')
    if redis.call('EXISTS', marker) == 0 then
        lost = text(now)
        redis.call('HSET', marker, 't', lost, 'l', lost)
    end
    if lost then doubt(tonumber(lost) + lease) end
end
pass()

-- Leases: those that are over count as spent now.
local others, over = 0, 0
for field, entry in pairs(leases) do
    if field ~= node then
        if entry.expiry > now then
            others = others + entry.amount
        else
            over = over + entry.amount
            redis.call('HDEL', budget, field)
        end
    end
end
local recorded = own and own.amount or 0

-- A node that knew another budget of this name, or later calls than there were, knows what is not known here.
local forgotten = told_born > 0 and (told_born ~= born or version < told_version)
if forgotten or told_forced then raise(told, others + over + recorded) end
local kept = forgotten or held == 0
if own then kept = own.expiry > now end
if not kept then held, returned = 0, 0 end
local spent = math.max(0, recorded - held - returned)
settle(others + over + math.max(recorded, held), spent + over, returned, others + held)

-- The grant: at most half of what is left, unless somebody waits for more.
local left = available(others + held)
local granted = math.min(left, wanted, math.max(need, math.ceil(left / 2)))
if strict and granted < wanted then granted = 0 end
charge(granted, others + held)
if not strict then held = held + granted end

-- And what is stored of it.
version = version + 1
if is_new then redis.call('HSET', budget, 'b', text(born)) end
if held > 0 or own then
    if held > 0 then
        redis.call('HSET', budget, node, text(held) .. ' ' .. text(now + lease) .. ' ' .. text(seq))
    else
        redis.call('HDEL', budget, node)
    end
end
if kind == 'b' then
    redis.call('HSET', budget, 'v', text(version), 'd', text(debt), 't', text(at))
elseif kind == 'w' then
    redis.call('HSET', budget, 'v', text(version))
    local newest = slots[#slots]
    for _, each in ipairs(slots) do
        if each == newest or not each.stored then
            redis.call('HSET', budget, 's' .. text(each.slot), text(each.count))
        end
    end
else
    redis.call('HSET', budget, 'v', text(version), 'e', text(period_end), 'u', text(used))
end
local holding = others + held
local span = life(holding) + (holding > 0 and lease or 0)
redis.call('PEXPIRE', budget, text(math.ceil(span / 1000) + 1000))
return { granted, available(holding), again(), full(), taken(holding), version, kept and 1 or 0, period_end, born }
