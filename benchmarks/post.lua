-- Make wrk send the same form repeatedly. Argument: the form.
function init(arguments)
  wrk.method, wrk.body = "POST", arguments[1]
  wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
end
