# Run by `cmake --install`: writes the units and the broker's configuration for the prefix that is
# installed to. A configuration that is there already is left alone.
cmake_path(ABSOLUTE_PATH REEVE_BIN_DIR BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}")
cmake_path(ABSOLUTE_PATH REEVE_UNIT_DIR BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}")
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr") # as GNUInstallDirs has it
  cmake_path(ABSOLUTE_PATH REEVE_CONFIG_DIR BASE_DIRECTORY /)
else()
  cmake_path(ABSOLUTE_PATH REEVE_CONFIG_DIR BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}")
endif()

string(MD5 of_prefix "${CMAKE_INSTALL_PREFIX}") # so that two installations at once do not mix
string(APPEND made_dir "-${of_prefix}")
foreach(file reeve-broker.service reeve-worker@.service broker.conf)
  configure_file("${source_dir}/${file}.in" "${made_dir}/${file}" @ONLY)
endforeach()
file(INSTALL "${made_dir}/reeve-broker.service" "${made_dir}/reeve-worker@.service"
  DESTINATION "${REEVE_UNIT_DIR}")
file(INSTALL DESTINATION "${REEVE_CONFIG_DIR}/worker" TYPE DIRECTORY FILES "")
if(EXISTS "$ENV{DESTDIR}${REEVE_CONFIG_DIR}/broker.conf")
  message(STATUS "Kept: $ENV{DESTDIR}${REEVE_CONFIG_DIR}/broker.conf")
else()
  file(INSTALL "${made_dir}/broker.conf" DESTINATION "${REEVE_CONFIG_DIR}")
endif()
file(REMOVE_RECURSE "${made_dir}")
