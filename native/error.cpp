#include "error.h"

#include <sstream>

namespace convgrad {

void throw_error(const char* code, std::initializer_list<MessagePart> parts) {
  std::ostringstream message;
  for (const MessagePart& part : parts) part.write(message);
  throw Error(code, message.str());
}

}  // namespace convgrad
