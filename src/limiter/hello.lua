-- The marker says since when this Redis remembers. A node that knew another one, or finds none where one was, says so: what
-- was counted before is lost, and no budget that must never have too much may begin full.
--
-- KEYS: the marker. ARGV: the time, 0 for that of Redis; what the node knew, or an empty text.
local now = tonumber(ARGV[1])
if now == 0 then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local since = redis.call('HGET', KEYS[1], 't')
if not since then
    since = string.format('%.0f', now)
    redis.call('HSET', KEYS[1], 't', since)
end
if ARGV[2] ~= '' and ARGV[2] ~= since then
    redis.call('HSET', KEYS[1], 'l', since)
end
return since
