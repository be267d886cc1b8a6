<?php

declare(strict_types=1);

namespace Acme\Shop;

/** Templates compiled to PHP, and what the code knows about itself, in files under var/cache. */
final class Cache
{
    public function __construct(private readonly Settings $settings)
    {
    }

    /** The compiled template; compiled now if nobody warmed the cache up. */
    public function template(string $name): string
    {
        $compiled = $this->settings->cacheFolder . "/templates/$name.php";
        if (!is_file($compiled)) {
            $this->compileTemplate($name);
        }

        return $compiled;
    }

    /** @return int the number of files written */
    public function warmUp(): int
    {
        $files = 0;
        foreach (glob($this->settings->root . '/templates/*.html') as $template) {
            $this->compileTemplate(basename($template));
            ++$files;
        }
        $container = ['version' => $this->settings->version, 'templates' => $files];
        $this->write('container.php', "<?php\n\nreturn " . var_export($container, true) . ";\n");

        return $files + 1;
    }

    public function clear(): void
    {
        if (!is_dir($this->settings->cacheFolder)) {
            return;
        }
        $entries = new \RecursiveIteratorIterator(
            new \RecursiveDirectoryIterator($this->settings->cacheFolder, \FilesystemIterator::SKIP_DOTS),
            \RecursiveIteratorIterator::CHILD_FIRST,
        );
        foreach ($entries as $entry) {
            $entry->isDir() ? rmdir($entry->getPathname()) : unlink($entry->getPathname());
        }
    }

    /** `{{ name }}` becomes the escaped variable `$name`. */
    private function compileTemplate(string $name): void
    {
        $source = (string) file_get_contents($this->settings->root . "/templates/$name");
        $php = preg_replace(
            '/\{\{\s*(\w+)\s*\}\}/',
            '<?= htmlspecialchars((string) $$1, ENT_QUOTES | ENT_SUBSTITUTE) ?>',
            $source,
        );
        $this->write("templates/$name.php", (string) $php);
    }

    /** Written beside and renamed: a page never reads half a file. */
    private function write(string $name, string $content): void
    {
        $file = $this->settings->cacheFolder . '/' . $name;
        if (!is_dir(dirname($file)) && !@mkdir(dirname($file), 0775, true) && !is_dir(dirname($file))) {
            throw new \RuntimeException('cannot create the cache folder ' . dirname($file));
        }
        $beside = $file . '.' . getmypid();
        if (file_put_contents($beside, $content) === false || !rename($beside, $file)) {
            throw new \RuntimeException("cannot write the cache file $file");
        }
    }
}
