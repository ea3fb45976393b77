/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/migrate/store.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#define STORE_VERSION 1
#define FILE_NAME_MAX 256
#define SUFFIX ".json"

struct store_node {
	struct store_node *next;
	struct store_entry entry;
};

struct store {
	pthread_mutex_t lock;
	int dir_fd;
	struct store_node *first;
};

/* ---- file names: what is not a plain letter becomes %XX ---- */

static void file_name(const char *vport, const char *suffix, char *name)
{
	size_t n = 0;

	for (const char *c = vport; *c && n < FILE_NAME_MAX - 16; c++) {
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			     (*c >= '0' && *c <= '9') || *c == '-' || *c == '_';

		n += (size_t)snprintf(
			name + n, FILE_NAME_MAX - n, plain ? "%c" : "%%%02X", (unsigned char)*c);
	}
	snprintf(name + n, FILE_NAME_MAX - n, "%s", suffix);
}

static bool vport_name(const char *file, char *name, size_t size)
{
	size_t len = strlen(file), n = 0;

	if (len <= strlen(SUFFIX) || strcmp(file + len - strlen(SUFFIX), SUFFIX) != 0)
		return false;
	for (size_t i = 0; i < len - strlen(SUFFIX) && n + 1 < size; i++) {
		unsigned int c;

		if (file[i] != '%') {
			name[n++] = file[i];
		} else if (sscanf(file + i + 1, "%2X", &c) == 1 && c) {
			name[n++] = (char)c;
			i += 2;
		} else {
			return false;
		}
	}
	name[n] = '\0';
	return n > 0;
}

/* ---- one file ---- */

static int role_number(const char *name)
{
	for (int role = 0; name && role < ROLE_COUNT; role++)
		if (strcmp(role_name((enum role)role), name) == 0)
			return role;
	return -1;
}

static bool text_get(const json_t *root, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(root, key));

	if (!text || strlen(text) >= size)
		return false;
	memcpy(to, text, strlen(text) + 1);
	return true;
}

static bool entry_decode(const json_t *root, struct store_entry *entry)
{
	json_t *epoch = json_object_get(root, "epoch");
	const char *vtep = json_string_value(json_object_get(root, "vtep"));
	const char *description = json_string_value(json_object_get(root, "description"));
	char name[64], role[16];
	int number;

	if (json_integer_value(json_object_get(root, "version")) != STORE_VERSION ||
		!text_get(root, "name", name, sizeof(name)) || strcmp(name, entry->name) != 0 ||
		!text_get(root, "role", role, sizeof(role)) ||
		!text_get(root, "uuid", entry->uuid, sizeof(entry->uuid)) ||
		!text_get(root, "owner", entry->owner, sizeof(entry->owner)) ||
		!text_get(root, "move", entry->move_id, sizeof(entry->move_id)) ||
		!json_is_integer(epoch) || json_integer_value(epoch) < 0)
		return false;
	number = role_number(role);
	if (number < 0 || (vtep && *vtep && inet_pton(AF_INET6, vtep, &entry->vtep) != 1))
		return false;
	entry->role = (enum role)number;
	entry->epoch = (uint64_t)json_integer_value(epoch);
	entry->moved_in = json_is_true(json_object_get(root, "moved_in"));
	entry->description = description ? strdup(description) : NULL;
	return !description || entry->description;
}

static json_t *entry_encode(const struct store_entry *entry)
{
	char vtep[INET6_ADDRSTRLEN];
	json_t *root;

	inet_ntop(AF_INET6, &entry->vtep, vtep, sizeof(vtep));
	root = json_pack("{s:i, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:b}", "version", STORE_VERSION,
		"name", entry->name, "uuid", entry->uuid, "role", role_name(entry->role), "epoch",
		(json_int_t)entry->epoch, "owner", entry->owner, "vtep",
		IN6_IS_ADDR_UNSPECIFIED(&entry->vtep) ? "" : vtep, "move", entry->move_id,
		"moved_in", entry->moved_in);
	if (root && entry->description)
		json_object_set_new(root, "description", json_string(entry->description));
	return root;
}

static int file_write(int dir_fd, const char *name, const char *text, size_t len)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc = 0;

	if (fd < 0)
		return -errno;
	while (len > 0 && rc == 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			rc = -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	if (rc == 0 && fsync(fd) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int entry_write(const struct store *store, const struct store_entry *entry)
{
	char name[FILE_NAME_MAX], temporary[FILE_NAME_MAX];
	json_t *root = entry_encode(entry);
	char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
	int rc = text ? 0 : -ENOMEM;

	file_name(entry->name, SUFFIX, name);
	file_name(entry->name, ".new", temporary);
	if (rc == 0)
		rc = file_write(store->dir_fd, temporary, text, strlen(text));
	if (rc == 0 && renameat(store->dir_fd, temporary, store->dir_fd, name) != 0)
		rc = -errno;
	if (rc == 0 && fsync(store->dir_fd) != 0)
		rc = -errno;
	free(text);
	json_decref(root);
	return rc;
}

/* ---- the whole ---- */

static struct store_node *node_find(const struct store *store, const char *name)
{
	for (struct store_node *node = store->first; node; node = node->next)
		if (strcmp(node->entry.name, name) == 0)
			return node;
	return NULL;
}

static int file_load(
	struct store *store, const char *file, void (*told)(void *arg, const char *text), void *arg)
{
	struct store_node *node = calloc(1, sizeof(*node));
	json_error_t fault = {0};
	json_t *root;
	char text[512];
	int fd;

	if (!node)
		return -ENOMEM;
	if (!vport_name(file, node->entry.name, sizeof(node->entry.name))) {
		free(node);
		return 0;
	}
	fd = openat(store->dir_fd, file, O_RDONLY | O_CLOEXEC);
	root = fd < 0 ? NULL : json_loadfd(fd, 0, &fault);
	if (fd >= 0)
		close(fd);
	if (!root || !entry_decode(root, &node->entry)) {
		struct store_entry blank = {.suspect = true};

		snprintf(text, sizeof(text),
			"%s is damaged (%s): vport %s stays passive until its owner is known", file,
			root ? "a field is missing or wrong" : fault.text, node->entry.name);
		told(arg, text);
		free(node->entry.description);
		memcpy(blank.name, node->entry.name, sizeof(blank.name));
		node->entry = blank;
	}
	json_decref(root);
	node->next = store->first;
	store->first = node;
	return 0;
}

static int make_dirs(const char *dir)
{
	char path[512];

	snprintf(path, sizeof(path), "%s", dir);
	for (char *c = path + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return -errno;
		*c = '/';
	}
	return mkdir(path, 0700) != 0 && errno != EEXIST ? -errno : 0;
}

int store_open(
	const char *dir, void (*told)(void *arg, const char *text), void *arg, struct store **out)
{
	struct store *store = calloc(1, sizeof(*store));
	struct dirent *entry;
	DIR *files = NULL;
	int rc;

	if (!store)
		return -ENOMEM;
	pthread_mutex_init(&store->lock, NULL);
	rc = make_dirs(dir);
	store->dir_fd = rc == 0 ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (store->dir_fd >= 0)
		files = fdopendir(dup(store->dir_fd));
	if (!files) {
		rc = rc ? rc : -errno;
		store_close(store);
		return rc;
	}
	while (rc == 0 && (entry = readdir(files)) != NULL)
		rc = file_load(store, entry->d_name, told, arg);
	closedir(files);
	if (rc != 0) {
		store_close(store);
		return rc;
	}
	*out = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	while (store->first) {
		struct store_node *node = store->first;

		store->first = node->next;
		free(node->entry.description);
		free(node);
	}
	if (store->dir_fd >= 0)
		close(store->dir_fd);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

bool store_get(struct store *store, const char *name, struct store_entry *entry)
{
	struct store_node *node;

	pthread_mutex_lock(&store->lock);
	node = node_find(store, name);
	if (node) {
		*entry = node->entry;
		entry->description = NULL;
	}
	pthread_mutex_unlock(&store->lock);
	return node != NULL;
}

char *store_description(struct store *store, const char *name)
{
	struct store_node *node;
	char *text = NULL;

	pthread_mutex_lock(&store->lock);
	node = node_find(store, name);
	if (node && node->entry.description)
		text = strdup(node->entry.description);
	pthread_mutex_unlock(&store->lock);
	return text;
}

/* Under the lock: what is written becomes what is known, or nothing changes. */
static int entry_put(struct store *store, const struct store_entry *entry)
{
	struct store_node *node = node_find(store, entry->name), *made = NULL;
	int rc;

	if (!node) {
		made = calloc(1, sizeof(*made));
		if (!made)
			return -ENOMEM;
		node = made;
	}
	rc = entry_write(store, entry);
	if (rc != 0) {
		free(made);
		return rc;
	}
	node->entry = *entry;
	if (made) {
		made->next = store->first;
		store->first = made;
	}
	return 0;
}

static struct store_entry entry_or_new(const struct store *store, const char *name)
{
	struct store_node *node = node_find(store, name);
	struct store_entry entry = {0};

	if (node)
		return node->entry;
	snprintf(entry.name, sizeof(entry.name), "%s", name);
	return entry;
}

int store_change(struct store *store, const char *name,
	void (*change)(struct store_entry *entry, void *arg), void *arg)
{
	struct store_entry entry;
	int rc;

	pthread_mutex_lock(&store->lock);
	entry = entry_or_new(store, name);
	change(&entry, arg);
	rc = entry_put(store, &entry);
	pthread_mutex_unlock(&store->lock);
	return rc;
}

int store_describe(struct store *store, const char *name, const char *description)
{
	char *copy = description ? strdup(description) : NULL, *old;
	struct store_entry entry;
	int rc;

	if (description && !copy)
		return -ENOMEM;
	pthread_mutex_lock(&store->lock);
	entry = entry_or_new(store, name);
	old = entry.description;
	entry.description = copy;
	entry.moved_in = description != NULL;
	rc = entry_put(store, &entry);
	pthread_mutex_unlock(&store->lock);
	free(rc == 0 ? old : copy);
	return rc;
}

int store_remove(struct store *store, const char *name)
{
	char file[FILE_NAME_MAX];
	int rc = -ENOENT;

	file_name(name, SUFFIX, file);
	pthread_mutex_lock(&store->lock);
	for (struct store_node **at = &store->first; *at; at = &(*at)->next)
		if (strcmp((*at)->entry.name, name) == 0) {
			struct store_node *gone = *at;

			rc = unlinkat(store->dir_fd, file, 0) != 0 && errno != ENOENT ? -errno : 0;
			if (rc == 0) {
				*at = gone->next;
				free(gone->entry.description);
				free(gone);
			}
			break;
		}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

int store_foreach(
	struct store *store, int (*cb)(const struct store_entry *entry, void *arg), void *arg)
{
	struct store_entry *copies;
	size_t count = 0, n = 0;
	int rc = 0;

	pthread_mutex_lock(&store->lock);
	for (const struct store_node *node = store->first; node; node = node->next)
		count++;
	copies = calloc(count + 1, sizeof(*copies));
	for (const struct store_node *node = store->first; copies && node; node = node->next) {
		copies[n] = node->entry;
		copies[n++].description = NULL;
	}
	pthread_mutex_unlock(&store->lock);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = cb(&copies[i], arg);
	free(copies);
	return copies ? rc : -ENOMEM;
}
