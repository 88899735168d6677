# node-gyp wants to find Node's headers here; binding.gyp compiles nothing with them, so this stands in for a download.
{ "variables": {} }
