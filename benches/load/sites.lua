-- Small requests for all sites in turn. The argument is a file with one host per line.
local requests = {}
local count = 0
local turn = 0

function init(args)
  for host in io.lines(args[1]) do
    count = count + 1
    wrk.headers["Host"] = host
    requests[count] = wrk.format()
  end
end

function request()
  turn = turn % count + 1
  return requests[turn]
end
