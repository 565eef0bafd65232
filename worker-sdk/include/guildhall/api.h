/* What all headers of libguildhall need. */
#ifndef GUILDHALL_API_H
#define GUILDHALL_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Programs run with every library of the same number (libguildhall.so.<number>) that is not older than their headers.
 */
#define GUILDHALL_ABI 0

#ifndef GH_API
#define GH_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
#define GH_BEGIN_DECLS extern "C" {
#define GH_END_DECLS   }
#else
#define GH_BEGIN_DECLS
#define GH_END_DECLS
#endif

#endif
