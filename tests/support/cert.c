/* Certificates for the tests, by OpenSSL. */
#include "tests/support/cert.h"

#include "tests/support/cm.h"

#include <libgen.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static X509 *self_signed(EVP_PKEY *pair)
{
    X509 *x = X509_new();
    X509V3_CTX ctx;

    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, pair);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    assert_non_null(names);
    X509_add_ext(x, names, -1);
    X509_EXTENSION_free(names);
    assert_true(X509_sign(x, pair, EVP_sha256()) > 0);
    return x;
}

void cert_make(char cert[64], char key[64])
{
    char folder[] = "/tmp/guildhall-cert-XXXXXX";
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x = self_signed(pair);

    assert_non_null(mkdtemp(folder));
    snprintf(cert, 64, "%s/cert.pem", folder);
    snprintf(key, 64, "%s/key.pem", folder);
    FILE *f = fopen(cert, "we");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, x), 1);
    fclose(f);
    f = fopen(key, "we");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, pair, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(pair);
}

void cert_remove(const char *cert, const char *key)
{
    char folder[64];

    unlink(cert);
    unlink(key);
    snprintf(folder, sizeof(folder), "%s", cert);
    rmdir(dirname(folder));
}
