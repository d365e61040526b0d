# SPDX-License-Identifier: MIT OR Apache-2.0
# A static library that an action generates a source for, and the module that links it.
{
  'targets': [
    {
      'target_name': 'phases',
      'type': 'static_library',
      'sources': ['src/phases.cc'],
      'include_dirs': ['<(SHARED_INTERMEDIATE_DIR)'],
      'cflags': ['-fPIC'],
      'actions': [{
        'action_name': 'names',
        'inputs': ['src/names.txt', 'src/names.sh'],
        'outputs': ['<(SHARED_INTERMEDIATE_DIR)/names.h'],
        'action': ['sh', 'src/names.sh', 'src/names.txt', '<(SHARED_INTERMEDIATE_DIR)/names.h'],
      }],
    },
    {
      'target_name': 'moon',
      'sources': ['src/moon.cc'],
      'dependencies': ['phases'],
    },
  ],
}
