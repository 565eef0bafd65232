# guildhall_database_test(NAME SOURCES... LINKS...): one program run on every SQL driver (its argument). SQLite's runs
# have the label unit, too; PostgreSQL's brings a server of its own.
function(guildhall_database_test name)
  cmake_parse_arguments(A "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${A_SOURCES} ${PROJECT_SOURCE_DIR}/tests/contract/sql/sql_fixture.c)
  target_link_libraries(${name} PRIVATE ${A_LINKS} guildhall_io PkgConfig::CMOCKA guildhall_flags)
  foreach(kind memory file)
    add_test(NAME ${name}_${kind} COMMAND ${name} ${kind})
    set_tests_properties(${name}_${kind} PROPERTIES LABELS "unit;contract" TIMEOUT 60)
  endforeach()
  add_test(NAME ${name}_postgresql
    COMMAND ${PROJECT_SOURCE_DIR}/tests/support/with-services postgres -- $<TARGET_FILE:${name}> postgresql)
  set_tests_properties(${name}_postgresql PROPERTIES LABELS contract TIMEOUT 180)
endfunction()
