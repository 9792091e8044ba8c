/* notify.h: tells the service manager what the relay is doing, by systemd's
 * datagram protocol (sd_notify(3)), without its library. */
#ifndef REPLICATION_RELAY_NOTIFY_H
#define REPLICATION_RELAY_NOTIFY_H
#include <stdbool.h>
#include <stdint.h>

/* Sends "READY=1", "STATUS=..." and so on; without NOTIFY_SOCKET, or if it
 * cannot be reached, nothing happens. */
void notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "RELOADING=1" with the time that the protocol asks for. */
void notify_reloading(void);

/* How often "WATCHDOG=1" must be sent; 0 = never. Half of what the manager
 * allows. */
uint64_t notify_watchdog_ms(void);
#endif
