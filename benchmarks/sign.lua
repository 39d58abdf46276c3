-- Make wrk sign with a new mailbox each time, and count the thank-yous. Arguments: the path, and a word unique to this run.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

function init(arguments)
  path, run, sent, thanked = arguments[1], arguments[2], 0, 0
  headers = { ["Content-Type"] = "application/x-www-form-urlencoded", ["HX-Request"] = "true" }
end

function request()
  sent = sent + 1
  local email = string.format("ada-%s-%d-%d%%40example.org", run, number, sent)
  local form = "name=Ada+Lovelace&country=US&postal_code=90012&city=&region=&filled_from=&website=&email=" .. email
  return wrk.format("POST", path, headers, form)
end

function response(status)
  if status == 200 then thanked = thanked + 1 end
end

function done()
  local total = 0
  for _, thread in ipairs(threads) do total = total + thread:get("thanked") end
  print("Thanked: " .. total)
end
