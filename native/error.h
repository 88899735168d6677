// The one exception of the native library: a code that programs can act on and a sentence that people can.
#pragma once

#include <exception>
#include <sstream>
#include <string>
#include <utility>

namespace convgrad {

/// Codes are the `code` property of the JavaScript error: "ERR_SHAPE", "ERR_DTYPE", "ERR_VALUE", "ERR_DISPOSED",
/// "ERR_MEMORY", "ERR_DEVICE", "ERR_INTERNAL".
class Error : public std::exception {
 public:
  Error(const char* code, std::string message) : code_(code), message_(std::move(message)) {}
  const char* code() const { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  const char* code_;
  std::string message_;
};

/// Throws an Error whose message is the parts, streamed one after the other.
template <class... Parts>
[[noreturn]] void fail(const char* code, const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(code, message.str());
}

/// `check(ok, code, parts...)`: fail() unless ok.
template <class... Parts>
void check(bool ok, const char* code, const Parts&... parts) {
  if (!ok) fail(code, parts...);
}

}  // namespace convgrad
