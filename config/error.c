/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/loader.h"

static void fail_place(struct config_loader *loader, int code, uint32_t line, uint32_t column)
{
	struct config_error *err = loader->err;

	err->code = code;
	err->line = line;
	err->column = column;
	snprintf(err->file, sizeof(err->file), "%s", loader->file);
	snprintf(err->path, sizeof(err->path), "%.*s", (int)loader->path_len, loader->path);
}

int config_fail_at(struct config_loader *loader, int code, uint32_t line, uint32_t column,
	const char *format, ...)
{
	va_list args;

	fail_place(loader, code, line, column);
	va_start(args, format);
	vsnprintf(loader->err->text, sizeof(loader->err->text), format, args);
	va_end(args);
	return code;
}

int config_fail(struct config_loader *loader, const struct config_tree *at, const char *format, ...)
{
	va_list args;

	fail_place(loader, -EINVAL, at->line, at->column);
	va_start(args, format);
	vsnprintf(loader->err->text, sizeof(loader->err->text), format, args);
	va_end(args);
	return -EINVAL;
}

int config_expected(
	struct config_loader *loader, const struct config_tree *at, const char *format, ...)
{
	char expected[256], found[96];
	va_list args;

	va_start(args, format);
	vsnprintf(expected, sizeof(expected), format, args);
	va_end(args);
	return config_fail(loader, at, "expected %s, found %s", expected,
		config_found(at, found, sizeof(found)));
}

int config_no_memory(struct config_loader *loader)
{
	return config_fail_at(loader, -ENOMEM, 0, 0, "out of memory");
}

const char *config_printable(const char *text, char *buffer, size_t size_bytes)
{
	size_t i;

	for (i = 0; text[i] != '\0' && i + 4 < size_bytes; i++)
		buffer[i] = isprint((unsigned char)text[i]) ? text[i] : '.';
	strcpy(buffer + i, text[i] != '\0' ? "..." : "");
	return buffer;
}

static bool text_is_number(const char *text)
{
	return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

const char *config_found(const struct config_tree *tree, char *buffer, size_t size_bytes)
{
	char text[64];

	if (tree->kind == CONFIG_LIST)
		return "a list";
	if (tree->kind == CONFIG_MAP)
		return "a map";
	if (config_tree_is_null(tree))
		return "nothing";
	config_printable(tree->text, text, sizeof(text));
	if (!tree->quoted && text_is_number(tree->text))
		snprintf(buffer, size_bytes, "the number %s", text);
	else
		snprintf(buffer, size_bytes, "%s\"%s\"", tree->quoted ? "the text " : "", text);
	return buffer;
}

static size_t path_append(struct config_loader *loader, const char *format, const char *text)
{
	size_t before = loader->path_len, room = sizeof(loader->path) - before;
	int len = snprintf(loader->path + before, room, format, text);

	/* What does not fit is cut: the path is for people, the place is exact. */
	loader->path_len += len < (int)room ? (size_t)len : room - 1;
	return before;
}

size_t config_path_key(struct config_loader *loader, const char *key)
{
	char text[CONFIG_KEY_BYTES_MAX + 4];

	config_printable(key, text, sizeof(text));
	return path_append(loader, loader->path_len ? ".%s" : "%s", text);
}

size_t config_path_index(struct config_loader *loader, uint32_t index)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", index);
	return path_append(loader, "[%s]", text);
}

void config_path_back(struct config_loader *loader, size_t len)
{
	loader->path_len = len;
	loader->path[len] = '\0';
}

int config_error_format(const struct config_error *err, char *buffer, size_t size_bytes)
{
	const char *colon = err->path[0] != '\0' ? ": " : "";

	if (err->line == 0)
		return snprintf(
			buffer, size_bytes, "%s: %s%s%s", err->file, err->path, colon, err->text);
	return snprintf(buffer, size_bytes, "%s:%u:%u: %s%s%s", err->file, err->line, err->column,
		err->path, colon, err->text);
}
