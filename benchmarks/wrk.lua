-- Walks through a file of request targets, presigned beforehand, one line each.
-- Arguments: file of targets, host, method, file with the body or "-", "once" or "again", number of threads.
-- With "once" each target is requested at most once, and the run ends with the last.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } bench_time;
  int clock_gettime(int clock, bench_time *time);
]]
local CLOCK_MONOTONIC = 1
local moment = ffi.new("bench_time")

local threads = {}
local targets = {}
local position = 0
local once = false
local head = ""
local tail = ""

local function now()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, moment)
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

-- Globals, because the thread that reports reads them with thread:get.
began = 0
ended = 0

function setup(thread)
  thread:set("index", #threads)
  table.insert(threads, thread)
end

function init(args)
  local body = ""
  if args[4] ~= "-" then
    local file = assert(io.open(args[4], "rb"))
    body = file:read("*a")
    file:close()
  end
  once = args[5] == "once"
  head = args[3] .. " "
  tail = " HTTP/1.1\r\nHost: " .. args[2] .. "\r\n"
  if args[3] == "PUT" then
    tail = tail .. "Content-Length: " .. #body .. "\r\n"
  end
  tail = tail .. "\r\n" .. body
  local stride, line = tonumber(args[6]), 0
  for target in io.lines(args[1]) do
    if line % stride == index then
      targets[#targets + 1] = target
    end
    line = line + 1
  end
end

function request()
  if position == 0 then -- wrk asks for one request that it never sends, before the first
    position = 1
    return head .. targets[1] .. tail
  end
  if began == 0 then
    began = now()
  end
  if position > #targets then
    if once then
      if ended == 0 then
        ended = now()
        wrk.thread:stop()
      end
      return head .. targets[#targets] .. tail
    end
    position = 1
  end
  local target = targets[position]
  position = position + 1
  return head .. target .. tail
end

function done(summary, latency)
  local seconds = summary.duration / 1e6
  local last = 0
  for _, thread in ipairs(threads) do
    local stopped = tonumber(thread:get("ended"))
    if stopped == 0 then
      last = 0
      break
    end
    last = math.max(last, stopped - tonumber(thread:get("began")))
  end
  if last > 0 then
    seconds = last
  end
  local errors = summary.errors
  io.write(string.format(
    '\nOUTCOME {"requests":%d,"seconds":%.6f,"errors":%d,"p50":%.7f,"p99":%.7f}\n',
    summary.requests, seconds,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
