# node-gyp and prebuildify look for this file. It compiles nothing itself: CMakeLists.txt is the one definition of the build.
{
  "targets": [
    {
      "target_name": "convgrad",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt"],
          # Never made, so that the action always runs and CMake decides what is out of date.
          "outputs": ["<(PRODUCT_DIR)/.always"],
          "action": ["node", "native/tools/build.cjs", "--config", "<(CONFIGURATION_NAME)", "--arch", "<(target_arch)"]
        }
      ]
    }
  ]
}
