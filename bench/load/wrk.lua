-- Sends each webhook in a file once. Each line of the file has a signature and a run ID.
-- Arguments: file of lines, file of the body's rest, timestamp, path of the webhook.
local LINE = 44 + 1 + 18 + 1
local lines, head, middle, tail, rest

function init(args)
  lines = assert(io.open(args[1], "rb"))
  local file = assert(io.open(args[2], "rb"))
  rest = file:read("*a")
  file:close()
  local start = '{"run":{"id":"'
  head = "POST " .. args[4] .. " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    .. "Content-Length: " .. (#start + 18 + #rest) .. "\r\n"
    .. "X-Port-Timestamp: " .. args[3] .. "\r\nX-Port-Signature: v1,"
  middle = "\r\n\r\n" .. start
end

function request()
  local line = lines:read(LINE)
  if not line or #line < LINE then
    -- The run has to end before its webhooks do; the count of 2xx shows it.
    return "GET /used-up HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
  end
  return head .. line:sub(1, 44) .. middle .. line:sub(46, 63) .. rest
end

function done(summary, latency, requests)
  io.write(string.format(
    'RESULT {"requests":%d,"durationMs":%.3f,"p50":%.3f,"p99":%.3f,"refused":%d,"failed":%d}\n',
    summary.requests, summary.duration / 1000, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
