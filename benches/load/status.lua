-- Counts the responses whose status is not the expected one, which is the argument. Too slow for a
-- measurement: it runs before one.
local expected
unexpected = 0
local threads = {}

function setup(thread) table.insert(threads, thread) end

function init(args) expected = tonumber(args[1]) end

function response(status)
  if status ~= expected then unexpected = unexpected + 1 end
end

function done()
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + thread:get("unexpected") end
  print("Unexpected: " .. sum)
end
