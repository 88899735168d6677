// The one exception of the native library: a code that programs can act on and a sentence that people can.
#pragma once

#include <exception>
#include <initializer_list>
#include <ostream>
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

/// A reference to something that can be streamed. Messages are put together in one place from any mixture of types: the
/// ops check so much that a template instance for each mixture would be most of what the compiler does.
class MessagePart {
 public:
  MessagePart(const char* text)  // NOLINT: a parameter type, made to convert
      : value_(text), write_([](std::ostream& out, const void* value) { out << static_cast<const char*>(value); }) {}
  template <class T>
  MessagePart(const T& value)  // NOLINT
      : value_(&value), write_([](std::ostream& out, const void* value) { out << *static_cast<const T*>(value); }) {}

  void write(std::ostream& out) const { write_(out, value_); }

 private:
  const void* value_;
  void (*write_)(std::ostream& out, const void* value);
};

[[noreturn]] void throw_error(const char* code, std::initializer_list<MessagePart> parts);

/// Throws an Error whose message is the parts, streamed one after the other.
template <class... Parts>
[[noreturn]] void fail(const char* code, const Parts&... parts) {
  throw_error(code, {MessagePart(parts)...});
}

/// `check(ok, code, parts...)`: fail() unless ok.
template <class... Parts>
inline void check(bool ok, const char* code, const Parts&... parts) {
  if (!ok) [[unlikely]]
    throw_error(code, {MessagePart(parts)...});
}

}  // namespace convgrad
