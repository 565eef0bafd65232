/* libguildhall: workers of Discord bots in C. */
#ifndef GUILDHALL_H
#define GUILDHALL_H

#include <guildhall/bot.h>
#include <guildhall/cache.h>
#include <guildhall/entities.h>
#include <guildhall/gateway.h>
#include <guildhall/helpers.h>
#include <guildhall/interactions.h>
#include <guildhall/json.h>
#include <guildhall/rest.h>

#endif
