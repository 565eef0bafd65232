/* A self-signed certificate for 127.0.0.1 and localhost, made on the spot. */
#pragma once

/* Writes cert.pem and key.pem into a new folder; fills both paths. */
void cert_make(char cert[64], char key[64]);
void cert_remove(const char *cert, const char *key); /* the files and their folder */
