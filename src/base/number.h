/*
 * number.h - inside the library: the C locale around a call of printf.
 */
#ifndef LIMN_SRC_BASE_NUMBER_H
#define LIMN_SRC_BASE_NUMBER_H

#include <limn/base.h>
#include <locale.h>

typedef locale_t limn_locale;

/* Gives this thread the C locale until limn_locale_leave gets back what was returned. */
limn_locale limn_locale_enter(void);
void limn_locale_leave(limn_locale before);

#endif
